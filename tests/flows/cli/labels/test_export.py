import gzip
import json

import pytest


@pytest.mark.parametrize(
    ("name", "written"), [("geojson", "slide-a.geojson"), ("coco", "annotations_coco.json")]
)
def test_export_writes_the_format_that_is_asked(run, refs, tmp_path, name, written):
    folder = tmp_path / "out"
    code, out, _ = run("export", refs[1].digest, "--format", name, "--output", folder, "--json")

    answer = json.loads(out)
    assert code == 0
    assert answer["files"] == [str(folder / written)]
    assert answer["n_cells"] == 3
    assert (folder / written).is_file()


def test_export_says_how_much_it_wrote_and_where(run, refs, tmp_path):
    code, out, _ = run("export", refs[0].digest, "--output", tmp_path / "out")

    assert code == 0
    assert out.startswith(f"2 cells of version {refs[0].digest[:8]}: ")
    assert out.strip().endswith("slide-a.geojson")


def test_an_unknown_format_is_wrong_use(run, refs, tmp_path):
    code, _, err = run("export", refs[0].digest, "--format", "csv", "--output", tmp_path / "out")

    assert code == 2
    assert "csv" in err


def test_geojson_may_be_compressed(run, refs, tmp_path):
    folder = tmp_path / "out"
    code, out, _ = run("export", refs[1].digest, "--gz", "--output", folder, "--json")

    assert code == 0
    assert json.loads(out)["files"] == [str(folder / "slide-a.geojson.gz")]
    features = json.loads(gzip.decompress((folder / "slide-a.geojson.gz").read_bytes()))["features"]
    assert len(features) == 4  # a region and three cells


def test_nothing_but_geojson_is_compressed(run, refs, tmp_path):
    words = ("--format", "coco", "--gz", "--output", tmp_path / "out")
    code, _, err = run("export", refs[0].digest, *words)

    assert code == 2
    assert "--gz compresses GeoJSON only" in err


def test_regions_are_written_as_ome_zarr(run, refs, tmp_path):
    folder = tmp_path / "out"
    words = ("--format", "ome-zarr", "--output", folder, "--json")
    code, out, _ = run("export", refs[1].digest, *words)

    answer = json.loads(out)
    assert (code, answer["n_cells"]) == (0, 3)
    assert answer["files"] == [str(folder / "slide-a@0,0")]
    assert (folder / "slide-a@0,0" / "labels" / "cells" / "0" / "zarr.json").is_file()
