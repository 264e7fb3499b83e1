from flows.gpus import gpus, parsed

PRINTED = """0, NVIDIA H100 80GB HBM3, 1024, 81559, 37
1, A card, with a comma, 0, 16384, [N/A]
2, A card that fell off, [Unknown Error], [Unknown Error], [Unknown Error]
No devices were found
"""


def test_what_the_driver_prints_is_read_and_what_it_could_not_tell_left_out():
    first, second = parsed(PRINTED)
    assert str(first) == "GPU 0 NVIDIA H100 80GB HBM3: 1.0 of 79.6 GiB used, 37 % busy"
    assert (second.index, second.name) == ("1", "A card, with a comma")
    assert second.busy_percent is None


def test_without_a_driver_there_are_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == ()
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0, broken, 1, 2, 3\nexit 9\n")
    program.chmod(0o755)
    assert gpus() == ()
    program.write_text("#!/bin/sh\necho 0, whole, 1, 2, 3\n")
    assert [one.name for one in gpus()] == ["whole"]
