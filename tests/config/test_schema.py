from __future__ import annotations

import json
import textwrap
from importlib import resources

import jsonschema
import pytest
import yaml

from p2pkit.config import config_schema, load_config, recipe_names, resolve
from p2pkit.registry import load_registry

CODE = """
    from typing import Annotated
    from pydantic import BaseModel, Field

    class Window(BaseModel):
        size: int = 8

    def swin(images, *, window: Window = Window(), heads: Annotated[int, Field(ge=1, description="Heads.")] = 4):
        '''A transformer.'''

    @p2pkit.hookimpl
    def p2pkit_generators():
        yield p2pkit.Generator("swin", swin)
"""


@pytest.fixture(scope="module")
def validator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema")
    (folder / "acme.py").write_text("import p2pkit\n" + textwrap.dedent(CODE))
    schema = config_schema(load_registry(plugin_files=[folder / "acme.py"], discover=False, start=folder))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


GOOD = [
    "dataset: shapes",
    "{dataset: {use: shapes, params: {size: 32}, unreadable: skip}, generator: {use: unet_tiny, params: {width: 4}}}",
    "{dataset: shapes, losses: {gan: {params: {mode: hinge}}, l1: 100, sharp: {use: charbonnier, weight: 2}}}",
    "{dataset: shapes, augment: [flip, {use: jitter_crop, params: {load: 72}}], evaluate: {metrics: [{use: ssim}]}}",
    "{extends: facades, dataset: {params: {root: elsewhere}}, losses: {gan: null}}",
    "{dataset: shapes, generator: swin}",
    "{dataset: shapes, generator: {use: 'acme:swin', params: {heads: 2, window: {size: 4}}}}",
    "{dataset: shapes, optimizers: {generator: {betas: [0.5, 0.9]}}, engine: {clip: null, ema: 0.99}}",
    "{dataset: shapes, phases: [{epochs: 1, losses: {gan: null, l1: 3, ssim: {every: 2}}, size: [8, 8]}]}",
    "{dataset: shapes, updates: {discriminator: 2}, frozen: {generator: [norms]}}",
]
BAD = {
    "a phase's unknown key": "{dataset: shapes, phases: [{epochs: 1, sise: 8}]}",
    "a phase's negative weight": "{dataset: shapes, phases: [{epochs: 1, losses: {l1: -1}}]}",
    "typo in an alias's parameter": "{dataset: shapes, generator: {use: unet_tiny, params: {widht: 4}}}",
    "parameter out of bounds": "{dataset: shapes, generator: {use: unet, params: {depth: 99}}}",
    "wrong type": "{dataset: shapes, generator: {use: unet, params: {depth: deep}}}",
    "unknown generator": "{dataset: shapes, generator: unett}",
    "unknown loss": "{dataset: shapes, losses: {mine: {use: l3}}}",
    "unknown term": "{dataset: shapes, losses: {l3: 100}}",
    "negative weight": "{dataset: shapes, losses: {l1: -1}}",
    "unknown key": "{dataset: shapes, engin: {}}",
    "unknown key below": "{dataset: shapes, engine: {bach: 3}}",
    "wrong choice": "{dataset: shapes, engine: {precision: fp8}}",
    "a third party's parameter": "{dataset: shapes, generator: {use: 'acme:swin', params: {heads: 0}}}",
    "a third party's nested parameter": "{dataset: shapes, generator: {use: swin, params: {window: {size: big}}}}",
    "another component's parameter": "{dataset: shapes, augment: [{use: flip, params: {load: 72}}]}",
}


@pytest.mark.parametrize("text", GOOD)
def test_good_configs_pass(validator, text):
    validator.validate(yaml.safe_load(text))


@pytest.mark.parametrize("name", ["demo", "facades", "facades_blog"])
def test_resolved_configs_pass(validator, registry, name):
    found = resolve(load_config(name, {"dataset.params.root": "."} if name != "demo" else {}), registry)
    assert found.problems == ()
    validator.validate(json.loads(json.dumps(found.resolved())))


def test_the_schema_is_small_and_its_errors_name_one_thing(validator):
    assert len(json.dumps(validator.schema)) < 150_000
    wrong = {"dataset": "shapes", "losses": {"gan": {"params": {"mode": "hingo"}}}, "generator": {"use": "unett"}}
    told = {error.json_path: error.message for error in validator.iter_errors(wrong)}
    assert told.keys() == {"$.losses.gan.params.mode", "$.generator.use"}
    assert not any(error.context for error in validator.iter_errors(wrong))


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_configs_fail(validator, text):
    assert not validator.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize("name", recipe_names())
def test_the_recipes_pass(validator, name):
    file = resources.files("p2pkit").joinpath("recipes", f"{name}.yaml")
    validator.validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def test_names_come_with_their_summaries(validator):
    use = validator.schema["$defs"]["generator"]["properties"]["use"]
    described = dict(zip(use["enum"], use["markdownEnumDescriptions"], strict=True))
    assert described["unet_256"] == "The reference's U-Net for sides of 256."
    assert described["acme:swin"] == "A transformer."
    assert validator.schema["$defs"]["generator.acme.swin"]["properties"]["heads"]["description"] == "Heads."
