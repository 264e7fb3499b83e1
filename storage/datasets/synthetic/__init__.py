"""Made-up whole slides whose cells are all known, for the demo, tests and studies.

They look like haematoxylin and eosin from afar and pose the problem of the papers: crowded target
cells, others that resemble them, organs that differ, and an annotator who skips crowds.
"""
