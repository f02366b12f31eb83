"""What settings affect, as they declare it."""

import json

from pydantic import Field

from satl.core.strict import Strict, result_affecting, setting


class Inner(Strict):
    kept: int = setting(1, description="counts by default")
    workers: int = setting(2, affects="speed", ge=0)


class Outer(Strict):
    plain: float = 0.5
    described: str = Field("x", description="made by pydantic's own Field")
    title: str | None = setting(None, affects="presentation")
    required: int = setting(ge=1)
    inner: Inner = Inner()
    many: list[Inner] = setting([Inner()])
    named: dict[int, Inner] = setting({7: Inner(kept=3)})
    pair: tuple[int, int] = (1, 2)


def test_only_settings_that_can_change_a_number_are_dumped():
    assert result_affecting(Outer(required=4, title="t")) == {
        "plain": 0.5, "described": "x", "required": 4, "inner": {"kept": 1},
        "many": [{"kept": 1}], "named": {"7": {"kept": 3}}, "pair": [1, 2],
    }  # fmt: skip


def test_what_is_dumped_survives_json():
    found = result_affecting(Outer(required=4))
    assert json.loads(json.dumps(found)) == found


def test_a_setting_keeps_its_constraints_and_says_in_the_schema_what_it_affects():
    schema = Inner.model_json_schema()["properties"]
    assert schema["workers"]["minimum"] == 0
    assert (schema["workers"]["affects"], schema["kept"]["affects"]) == ("speed", "results")
    assert Outer.model_fields["required"].is_required()
