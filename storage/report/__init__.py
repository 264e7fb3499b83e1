"""The page that tells what one run did: plain data in, one self-contained HTML file out."""
