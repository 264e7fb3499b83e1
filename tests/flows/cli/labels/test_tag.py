import json

import pytest


def test_a_tag_stands_for_its_version(run, refs):
    code, out, _ = run("tag", "gold", refs[1].digest[:6])

    assert (code, out) == (0, f"gold names {refs[1].digest[:8]}.\n")
    assert json.loads(run("show", "gold", "--json")[1])["digest"] == refs[1].digest


def test_a_tag_that_moves_says_from_where(run, refs):
    run("tag", "gold", refs[0].digest)
    _, out, _ = run("tag", "gold", refs[1].digest)

    assert out == f"gold names {refs[1].digest[:8]}, before {refs[0].digest[:8]}.\n"


def test_setting_a_tag_twice_is_one_move(run, refs):
    first = json.loads(run("tag", "gold", refs[0].digest, "--json")[1])
    again = json.loads(run("tag", "gold", refs[0].digest, "--json")[1])

    assert first == again
    assert len(json.loads(run("tag", "--json")[1])["moves"]) == 1


def test_a_removed_tag_is_gone_but_its_moves_are_not(run, refs):
    run("tag", "gold", refs[0].digest)
    code, out, _ = run("tag", "gold", "--remove")

    assert (code, out) == (0, f"gold is removed; it named {refs[0].digest[:8]}.\n")
    answer = json.loads(run("tag", "gold", "--json")[1])
    assert answer["tags"] == {}
    assert [(one["before"], one["after"]) for one in answer["moves"]] == [
        (None, refs[0].digest),
        (refs[0].digest, None),
    ]
    assert run("show", "gold")[0] == 2


def test_all_tags_are_listed_with_their_moves(run, refs):
    run("tag", "gold", refs[0].digest)
    run("tag", "silver", "gold")
    code, out, _ = run("tag")

    assert code == 0
    assert out.index("tags") < out.index("gold") < out.index("silver") < out.index("moves")
    assert out.count(refs[0].digest[:8]) == 4


def test_no_tags_say_how_to_set_one(run, refs):
    assert "signetflow labels tag NAME VERSION" in run("tag")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gold"], "no tag 'gold'"),
        (["gold", "--remove"], "no tag 'gold'"),
        (["--remove"], "--remove takes the name"),
        (["gold", "ffff", "--remove"], "--remove takes the name"),
        (["gold", "ffff"], "no label version or tag 'ffff'"),
        (["Gold", "VERSION"], "'Gold' cannot be a tag"),
    ],
)
def test_what_cannot_be_tagged_is_wrong_use(run, refs, words, message):
    code, _, err = run("tag", *(refs[0].digest if word == "VERSION" else word for word in words))

    assert code == 2
    assert message in err
