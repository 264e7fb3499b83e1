"""Li et al. 2019, table 1: four ways to use partial annotations, in easy and in hard folds."""

from __future__ import annotations

from flows.studies.study import Study
from storage.report.comparison import Paper, PublishedRow

_PUBLISHED = {
    # arm: collective recall, instance recall, normal region false positives, FROC
    "easy": {
        "supervised": (0.626, 0.462, 0.446, 0.462),
        "self": (0.869, 0.673, 2.29, 0.617),
        "self_extra": (0.841, 0.638, 5.22, 0.562),
        "cooperative": (0.881, 0.705, 1.45, 0.692),
    },
    "hard": {
        "supervised": (0.497, 0.325, 0.202, 0.325),
        "self": (0.693, 0.521, 1.18, 0.517),
        "self_extra": (0.670, 0.505, 4.62, 0.451),
        "cooperative": (0.827, 0.658, 0.943, 0.657),
    },
}

TABLE1 = Study(
    paper=Paper(
        study="table1",
        title="Table 1 of Li et al. 2019, on this dataset",
        citation=(
            "Li et al. 2019, Signet Ring Cell Detection With a Semi-supervised Learning Framework, "
            "table 1: cross validation under different modes and data utilities"
        ),
        arms=(
            ("supervised", "FT"),
            ("self", "ST"),
            ("self_extra", "ST-Ex"),
            ("cooperative", "CT"),
        ),
        rows=tuple(
            PublishedRow(mode, arm, *numbers)
            for mode, arms in _PUBLISHED.items()
            for arm, numbers in arms.items()
        ),
        networks="its 34-layer DLA network, the better of its two by about 2 %",
        data=(
            ("name", "multi-organ signet ring cells, later DigestPath 2019"),
            ("positive regions", "74 of 21 slides"),
            ("negative regions", "320 of 106 slides"),
            ("unlabelled regions", "1,236"),
            ("cells that a person marked", "12,381"),
            ("organs", "10"),
            ("kept together in hard folds", "slide and organ"),
        ),
        differences=(
            "The paper names no validation data. Here half of another fold decides which epoch and "
            "which round is kept, so that networks train on half a fold less.",
            "The paper does not say at which score its recalls and false positives are read. Ours "
            "count every detection above the candidate floor, which is low: more recall and more "
            "false positives. FROC is read at the same numbers of false positives.",
            "The paper has no arms that train as long on unchanged labels, and no intervals.",
        ),
    ),
    preset="paper",
    small_preset="demo",
    tiny_preset="tiny",
    overrides=("splits=[easy,hard]", "folds=[0,1,2]"),
)
