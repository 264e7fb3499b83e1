import json
import subprocess
import sys

import pytest

from flows.cli import main
from models.errors import AnnotationError, InputError
from storage import results
from storage.datasets import json_lists
from storage.results import read_results

KEYS = [
    "instance_recall", "collective_recall", "fps", "fps_basis", "froc", "froc_recalls", "precision",
    "nfps_score", "n_truth", "n_predictions", "n_positive_images", "n_negative_images",
]  # fmt: skip


def truth_file(**changed):
    known = {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 100, "height": 100, "role": "positive"},
            {"id": 2, "file_name": "b.png", "width": 100, "height": 100, "role": "negative"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20]},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [60, 60, 20, 20]},
        ],
        "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "other"}],
    }
    return known | changed


def found(**changed):
    return {"image_id": 1, "category_id": 1, "bbox": [11, 10, 20, 20], "score": 0.9} | changed


FOUND = [found(), found(image_id=2, bbox=[5, 5, 20, 20], score=0.5)]


@pytest.fixture
def run(tmp_path, capsys):
    def run(truth, predictions, *options):
        for name, content in (("truth", truth), ("found", predictions)):
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / f"{name}.json").write_text(text)
        files = ("--truth", tmp_path / "truth.json", "--predictions", tmp_path / "found.json")
        code = main(["evaluate", *map(str, files), *options])
        return code, capsys.readouterr()

    return run


def answer(outcome):
    code, captured = outcome
    assert code == 0, captured.err
    return json.loads(captured.out)


def test_json_is_one_object_with_the_keys_of_the_contract(run):
    figures = answer(run(truth_file(), FOUND, "--json"))
    assert list(figures) == KEYS
    assert figures["instance_recall"] == 0.5
    assert figures["fps"] == 1
    assert figures["fps_basis"] == "negative_images"
    assert figures["froc_recalls"] == dict.fromkeys(["1", "2", "4", "8", "16", "32"], 0.5)
    assert figures["precision"] is None
    assert figures["nfps_score"] == 99
    assert [figures[key] for key in KEYS[-4:]] == [2, 2, 1, 1]


def test_precision_is_known_where_truth_is_complete(run):
    truth = truth_file()
    truth["images"][0]["complete"] = True
    assert answer(run(truth, FOUND, "--json"))["precision"] == 1


def test_a_higher_overlap_finds_fewer_cells(run):
    assert answer(run(truth_file(), FOUND, "--json", "--iou", "0.95"))["instance_recall"] == 0


def test_people_get_a_table_with_the_interval(run):
    truth = truth_file()
    for key in (3, 4):
        truth["images"].append({"id": key, "role": "positive", "slide": f"slide {key}"})
        truth["annotations"].append({"id": key, "image_id": key, "bbox": [0, 0, 9, 9]})
    code, captured = run(truth, [*FOUND, found(image_id=3, bbox=[0, 0, 9, 9])])
    assert code == 0
    assert "95 % over slides" in captured.out
    assert "on negative images" in captured.out


def test_an_interval_is_in_the_json_when_asked_for(run):
    figures = answer(run(truth_file(), FOUND, "--json", "--bootstrap", "10"))
    assert list(figures) == [*KEYS, "froc_low", "froc_high"]
    assert figures["froc_low"] is None


def test_one_class_is_evaluated_alone(run):
    truth = truth_file()
    truth["annotations"][1]["category_id"] = 2
    predictions = [*FOUND, found(category_id=2, bbox=[60, 60, 20, 20])]
    figures = answer(run(truth, predictions, "--json", "--class", "cell"))
    assert (figures["n_truth"], figures["n_predictions"]) == (1, 2)


def test_without_roles_annotated_images_are_positive_and_empty_ones_count_for_nothing(run):
    truth = truth_file()
    for image in truth["images"]:
        del image["role"]
    code, captured = run(truth, FOUND, "--json")
    figures = json.loads(captured.out)
    assert code == 0
    assert figures["n_negative_images"] == 0
    assert figures["fps_basis"] == "unmatched_on_partial"
    assert "1 others count for nothing" in captured.err


def test_crowds_are_left_out_and_told(run):
    truth = truth_file()
    truth["annotations"][1]["iscrowd"] = 1
    code, captured = run(truth, FOUND, "--json")
    assert json.loads(captured.out)["n_truth"] == 1
    assert "iscrowd" in captured.err
    assert code == 0


def test_no_detections_are_an_answer(run):
    assert answer(run(truth_file(), [], "--json"))["froc"] == 0


def test_the_curve_is_written(run, tmp_path):
    path = tmp_path / "froc.svg"
    code, _ = run(truth_file(), FOUND, "--json", "--plot", str(path))
    assert code == 0
    assert "<svg" in path.read_text()


def with_image(**changed):
    truth = truth_file()
    truth["images"][0] |= changed
    return truth


def with_box(box, **changed):
    truth = truth_file()
    truth["annotations"][0] |= {"bbox": box} | changed
    return truth


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("truth", "predictions", "message"),
    [
        (truth_file(), [found(image_id=9)], "prediction 0 has image_id 9"),
        (truth_file(), [found(), found(score="high")], "prediction 1 has score 'high'"),
        (truth_file(), [found(score=None)], "has score None"),
        (truth_file(), [found(score=True)], "has score True"),
        (truth_file(), '[{"image_id": 1, "bbox": [0, 0, 1, 1], "score": NaN}]', "has score nan"),
        (truth_file(), '[{"image_id": 1, "bbox": [0, 0, 1, 1], "score": 1e999}]', "has score inf"),
        (truth_file(), [found(score=10**400)], "has score 1000"),
        (truth_file(), [{"image_id": 1, "bbox": [0, 0, 1, 1]}], "has score None"),
        (truth_file(), [found(bbox=[1, 1, 0, 5])], "of width 0 and height 5"),
        (truth_file(), [found(bbox=[1, 1, 5])], "expected four numbers"),
        (truth_file(), [found(bbox=["1", 1, 5, 5])], "expected four numbers"),
        (truth_file(), [found(bbox=None)], "expected four numbers"),
        (truth_file(), [found(image_id=[1])], "image_id [1]"),
        (truth_file(), [7], "prediction 0 is int"),
        (truth_file(), {"annotations": []}, "expected a list"),
        (truth_file(), "[{", "not JSON"),
        (truth_file(), DEEP, "nested too deeply"),
        ([], FOUND, "expected an object with images"),
        (truth_file(images=[]), FOUND, "no images"),
        (truth_file(images=[{"file_name": "a"}]), FOUND, "image 0 has no id"),
        (truth_file(images=truth_file()["images"][:1] * 2), FOUND, "occurs twice"),
        (truth_file(annotations=truth_file()["annotations"] * 2), FOUND, "id '1' occurs 2 times"),
        (truth_file(annotations=None), FOUND, "'annotations' is a JSON null"),
        (truth_file(annotations=[]), [], "recall is undefined"),
        (with_box([10, 10, 0, 20]), FOUND, "annotation 0 has bbox"),
        (with_box([10, 10, -5, 20]), FOUND, "both must be above 0"),
        (with_box([200, 10, 20, 20]), FOUND, "lies outside image 1"),
        (with_box([-30, 10, 20, 20]), FOUND, "lies outside image 1"),
        (with_box([1, 1, 5, 5], image_id=2), FOUND, "role negative and 1 annotations"),
        (with_box([1, 1, 5, 5], image_id=5), FOUND, "annotation 0 has image_id 5"),
        (with_image(role="maybe"), FOUND, "expected one of positive, negative, unlabelled"),
        (with_image(complete="yes"), FOUND, "expected true or false"),
    ],
)
def test_input_that_cannot_be_used_is_refused_with_its_reason(run, truth, predictions, message):
    code, captured = run(truth, predictions, "--json")
    error = json.loads(captured.out)["error"]
    assert code == 3
    assert error["exit_code"] == 3
    assert message in error["message"]
    assert ".json" in error["message"] or "recall" in message
    assert len(error["message"]) < 500
    assert len(captured.err.splitlines()) <= 2


def test_a_file_that_is_too_large_is_refused_unread(run, monkeypatch):
    monkeypatch.setattr(json_lists, "MAXIMUM_JSON_MB", 1e-5)
    code, captured = run(truth_file(), FOUND)
    assert code == 3
    assert "of JSON, at most" in captured.err


@pytest.mark.parametrize(
    "options",
    [
        ("--iou", "7"),
        ("--class", "nothing"),
        ("--plot", "froc.docx"),
        ("--nonsense",),
    ],
)
def test_wrong_use_exits_with_two(run, options):
    assert run(truth_file(), FOUND, *options)[0] == 2


def test_a_missing_file_is_wrong_use(capsys):
    assert main(["evaluate", "--truth", "no.json", "--predictions", "no.json"]) == 2
    assert "no.json" in capsys.readouterr().err


def test_a_class_needs_predictions_that_say_theirs(run):
    bare = [{key: value for key, value in found().items() if key != "category_id"}]
    code, captured = run(truth_file(), bare, "--class", "cell")
    assert code == 3
    assert "category_id" in captured.err


def test_a_plot_that_cannot_be_written_is_an_error(run, tmp_path):
    code, captured = run(truth_file(), FOUND, "--plot", str(tmp_path / "no" / "froc.svg"))
    assert code == 1
    assert "cannot be written" in captured.err


def test_errors_are_also_the_builtins_that_callers_expect(tmp_path):
    path = tmp_path / "one.json"
    path.write_text("[]")
    with pytest.raises(InputError):
        read_results(path, path)
    assert issubclass(AnnotationError, ValueError)


def test_evaluate_imports_nothing_heavy(tmp_path):
    truth, predictions = tmp_path / "truth.json", tmp_path / "found.json"
    truth.write_text(json.dumps(truth_file()))
    predictions.write_text(json.dumps(FOUND))
    code = (
        "import sys; from flows.cli import main; assert main(sys.argv[1:]) == 0;"
        "heavy = {'torch', 'matplotlib', 'prefect', 'mlflow', 'zarr', 'scipy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    files = ["--truth", str(truth), "--predictions", str(predictions)]
    subprocess.run([sys.executable, "-c", code, "evaluate", *files], check=True)


@pytest.mark.parametrize("portion", [1, 2, 3, 100])
def test_predictions_are_read_in_portions_with_the_same_result(tmp_path, monkeypatch, portion):
    truth, predictions = tmp_path / "truth.json", tmp_path / "found.json"
    truth.write_text(json.dumps(truth_file()))
    rows = [found(image_id=1 + k % 2, bbox=[k, 1, 5, 5], score=k / 9) for k in range(6)]
    predictions.write_text(json.dumps(rows))
    monkeypatch.setattr(results, "PORTION", portion)
    one, other = read_results(truth, predictions, "cell").images
    assert one.predicted[:, 0].tolist() == [0, 2, 4]
    assert other.predicted.tolist() == [[k, 1, k + 5, 6] for k in (1, 3, 5)]
    assert other.scores.tolist() == [k / 9 for k in (1, 3, 5)]
    predictions.write_text(json.dumps([*rows, found(score="high")]))
    with pytest.raises(AnnotationError, match="prediction 6 has score 'high'"):
        read_results(truth, predictions)


@pytest.mark.slow
def test_the_outlines_of_a_truth_file_take_no_memory(tmp_path):
    # 130 MB of outlines; parsed, they would take five times as much.
    truth, predictions = tmp_path / "truth.json", tmp_path / "found.json"
    outline = [[k * 0.25 for k in range(2000)]]
    rows = [
        {"id": k, "image_id": 1, "bbox": [10, 10, 20, 20], "segmentation": outline}
        for k in range(10_000)
    ]
    truth.write_text(json.dumps(truth_file(annotations=rows)))
    predictions.write_text("[]")
    code = (
        "import resource, sys; from pathlib import Path; from storage.results import read_results\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); read_results(*map(Path, sys.argv[1:]))\n"
        "assert peak() - before < 60_000, peak() - before"
    )
    subprocess.run([sys.executable, "-c", code, str(truth), str(predictions)], check=True)
