import pytest
import yaml

from flows.config import PRESETS, Arm, RetrainConfig, as_told, load_config, parse_config
from models.errors import ConfigError
from models.training.settings import TrainingSettings
from storage.parts import SEAL_EVERY_S

SMALLEST = {"name": "n", "dataset": "d", "networks": {"a": {}, "b": {}}}


def written(tmp_path, content):
    path = tmp_path / "preset.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_preset_is_valid_and_survives_json(path):
    config = load_config(path.stem)
    assert parse_config(config.model_dump(mode="json"), "json") == config


def test_what_a_preset_does_not_say_are_the_papers_values(tmp_path):
    config = load_config(written(tmp_path, SMALLEST))
    assert config.training == TrainingSettings()
    assert config.folds == (0, 1, 2)
    assert config.arms == tuple(Arm)


@pytest.mark.parametrize(
    ("overrides", "where", "got"),
    [
        (("self_training.threshold=7",), "self_training.threshold", "less than 1 (got 7)"),
        (("training.epoch=3",), "training.epoch", "is not a setting"),
        (("trainings.epochs=3",), "trainings", "is not a setting"),
        (("training.epochs=many",), "training.epochs", "(got 'many')"),
        (("networks.a.family=vgg",), "networks.a.family", "(got 'vgg')"),
        (("folds=[3]",), "folds.0", "less than 3 (got 3)"),
        (("folds=[-1]",), "folds.0", "greater than or equal to 0 (got -1)"),
        (("seeds=[1,1]",), "seeds", "names something twice"),
        (("arms=[self,self]",), "arms", "names something twice"),
        (("arms=[]",), "arms", "at least 1"),
        (("name=a/b",), "name", "pattern"),
        (("tiles={mpp: 0.5, downsample: 2}",), "tiles", "not both"),
        (("networks={a: {}}",), "the preset", "cooperative needs two networks, got 1"),
        (("mode=production", "folds=[1]"), "the preset", "folds: [0]"),
    ],
)
def test_a_fault_is_named_with_key_and_value(tmp_path, overrides, where, got):
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, SMALLEST), overrides)
    message = str(error.value)
    assert "preset.yaml" in message
    assert f"{where}" in message
    assert got in message
    assert "\n" not in message


def test_every_fault_is_named_at_once(tmp_path):
    with pytest.raises(ConfigError, match=r"training\.epoch .*; .*self_training\.threshold"):
        load_config(written(tmp_path, SMALLEST), ("training.epoch=3", "self_training.threshold=7"))


def test_overrides_change_one_setting_and_are_read_as_yaml(tmp_path):
    config = load_config(
        written(tmp_path, SMALLEST),
        ("training.epochs=5", "seeds=[1, 2]", "training.gradient_clip=null", "dataset=other"),
    )
    assert config.training.epochs == 5
    assert config.seeds == (1, 2)
    assert config.training.gradient_clip is None
    assert config.dataset == "other"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", "expected a.b=value"),
        ("=5", "expected a.b=value"),
        ("name.first=x", "name is a value, not a group"),
        ("seeds=[1", "not a YAML value"),
    ],
)
def test_an_override_that_is_none_is_refused(tmp_path, override, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config(written(tmp_path, SMALLEST), (override,))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"--set {override}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1\nb: {", "cannot be read as YAML"),
        ("- a\n- b\n", "expected keys and values, got list"),
        ("", "expected keys and values, got NoneType"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_preset_is_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config(written(tmp_path, content))
    assert "\n" not in str(error.value)


def test_a_binary_file_is_refused(tmp_path):
    (tmp_path / "preset.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(str(tmp_path / "preset.yaml"))


def test_an_unknown_preset_lists_the_shipped_ones():
    with pytest.raises(ConfigError, match=r"no such file and no shipped preset.*demo.*tiny"):
        load_config("dmeo")


def test_a_file_wins_over_a_shipped_preset_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "tiny").write_text(yaml.safe_dump(SMALLEST | {"name": "mine"}))
    monkeypatch.chdir(tmp_path)
    assert load_config("tiny").name == "mine"


def test_a_configuration_cannot_be_changed():
    config = RetrainConfig.model_validate(SMALLEST)
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"  # type: ignore[misc]


def test_one_network_is_enough_without_cooperation():
    content = SMALLEST | {"networks": {"a": {}}, "arms": ["self"]}
    assert len(parse_config(content, "test").networks) == 1


def test_production_trains_on_one_split():
    content = SMALLEST | {"mode": "production", "folds": [0], "splits": ["hard"]}
    assert parse_config(content, "test").mode == "production"


def test_what_is_part_of_no_run_is_told_to_a_deployment_all_the_same():
    unsaid = parse_config(SMALLEST, "test")
    assert as_told(unsaid).keys() == SMALLEST.keys()
    said = {"training": {"save_every_s": 5}, "runtime": {"dask": {"address": "tcp://a:1"}}}
    told = as_told(parse_config(SMALLEST | said, "test"))
    assert parse_config(told, "test") == parse_config(SMALLEST | said, "test")
    assert parse_config(told, "test").model_dump() == unsaid.model_dump()


@pytest.mark.parametrize("address", ["10.0.0.5:8786", "tcp://10.0.0.5", "http://a:1", "", 8786])
def test_an_address_that_is_none_of_a_scheduler_is_refused(address):
    with pytest.raises(ConfigError, match=r"runtime\.dask\.address"):
        parse_config(SMALLEST | {"runtime": {"dask": {"address": address}}}, "test")


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_kill_costs_no_more_than_a_minute_of_training_or_prediction_unless_asked_for(path):
    assert TrainingSettings().save_every_s <= 30  # and the step and the saving under way
    assert load_config(str(path)).training.save_every_s <= 30
    assert SEAL_EVERY_S <= 30  # and the region under way
