"""More cells in one image than any framework's default limit: none is left out on the way."""

import json

import numpy as np
import pytest

from models.annotations import Role
from models.geometry.tiles import Placement
from models.instances.settings import InstanceSettings
from models.methods.detector import Detector, in_level0
from models.metrics.detection import evaluate
from models.metrics.matching import ImageCells
from models.metrics.settings import EvaluationSettings
from models.prediction.settings import WindowSettings
from models.runtime import Runtime
from storage.detections import DetectionDraft, open_detections
from storage.layout import Workspace
from storage.parts import Parts
from storage.results import read_results
from tests.tasks.colours import Colours

N_ACROSS, STEP, SIDE = 40, 16, 12
PLACES = STEP * np.stack(np.meshgrid(*[np.arange(N_ACROSS)] * 2), axis=-1).reshape(-1, 2) + 2
BOXES = np.hstack([PLACES, PLACES + SIDE]).astype(np.float64)
"""1,600 cells of 12 x 12 pixels in an image of 640 x 640."""
PLAIN = EvaluationSettings(bootstrap=0)


class Crowd:
    shape = (N_ACROSS * STEP, N_ACROSS * STEP)

    def read(self, y0, x0, height, width):
        image = np.zeros((*self.shape, 3), np.uint8)
        image[..., 0] = 255
        for x, y in PLACES:
            image[y : y + SIDE, x : x + SIDE] = [0, 255, 0]
            image[y + 2 : y + SIDE - 2, x + 2 : x + SIDE - 2] = [0, 0, 255]
        return image[y0 : y0 + height, x0 : x0 + width]


@pytest.fixture(scope="module")
def found():
    settings, runtime = InstanceSettings(minimum_area_px=4), Runtime("cpu", "fp32", 1)
    detector = Detector(Colours(), WindowSettings(window_px=1024), settings, runtime)
    return in_level0(detector.find(Crowd()).cells, Placement(0, 0, 1))


def test_all_cells_are_found_stored_and_evaluated(found, tmp_path):
    at = Workspace(tmp_path / "workspace")
    draft = DetectionDraft(at, Parts(tmp_path / "parts"))
    draft.put("crowd", found, None)
    stored = open_detections(at, draft.commit({})).detections("crowd")
    image = ImageCells("c", "c", Role.POSITIVE, True, BOXES, stored.boxes, stored.scores)
    result = evaluate([image], PLAIN)
    assert result.n_predictions == len(BOXES) == 1600
    assert result.instance_recall == result.precision == result.ap_50 == 1
    assert result.fps == 0


def test_all_cells_of_coco_files_are_evaluated(found, tmp_path):
    truth, predictions = tmp_path / "truth.json", tmp_path / "found.json"
    cells = [{"id": k, "image_id": 1, "bbox": box} for k, box in enumerate(as_coco(BOXES))]
    images = [{"id": 1, "file_name": "c", "width": 640, "height": 640, "complete": True}]
    truth.write_text(json.dumps({"images": images, "annotations": cells}))
    predictions.write_text(
        json.dumps(
            [
                {"image_id": 1, "bbox": box, "score": score}
                for box, score in zip(as_coco(found.boxes), found.scores.tolist(), strict=True)
            ]
        )
    )
    result = evaluate(read_results(truth, predictions).images, PLAIN)
    assert (result.n_predictions, result.n_truth) == (1600, 1600)
    assert result.instance_recall == result.precision == 1


def as_coco(boxes):
    """Return boxes as lists of x, y, width and height."""
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()
