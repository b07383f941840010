"""Which keys tell runs apart, and how that is said."""

from __future__ import annotations

from p2pkit.compare.settings import compared, differing, label, short_names, title, with_absent_terms


def test_only_what_differs_is_named():
    first = {"generator": "unet_64", "losses.l1.weight": 100, "engine.batch": 4}
    assert differing([first, {**first, "losses.l1.weight": 10}]) == (("losses.l1.weight",), ())
    assert differing([first, first]) == ((), ())
    assert differing([first, {**first, "engine.clip": 1}]) == (("engine.clip",), ())


def test_what_follows_from_the_processes_is_left_out():
    spread = {"engine.accumulate": 2, "engine.global_batch": 8, "engine.seed": 1}
    assert compared(spread) == {"engine.global_batch": 8}
    assert compared({**spread, "engine.global_batch": None}) == {"engine.accumulate": 2, "engine.global_batch": None}


def test_a_component_s_name_stands_for_its_parameters():
    unet = {"generator": "unet_64", "generator.params.depth": 6, "generator.params.width": 64}
    resnet = {"generator": "resnet_6", "generator.params.blocks": 6, "generator.params.width": 32}
    keys, implied = differing([unet, resnet])
    assert keys == ("generator",)
    assert set(implied) == {"generator.params.depth", "generator.params.width", "generator.params.blocks"}
    narrow = {**unet, "generator.params.width": 16}
    assert differing([unet, narrow, resnet])[0] == ("generator", "generator.params.width")


def test_a_term_that_is_left_out_has_no_parameters():
    used = {"losses.gan.weight": 1, "losses.gan.params.mode": "lsgan"}
    assert differing([used, {"losses.gan.weight": 0}]) == (("losses.gan.weight",), ("losses.gan.params.mode",))
    other = {"losses.gan.weight": 2, "losses.gan.params.mode": "vanilla"}
    assert differing([used, other])[0] == ("losses.gan.weight", "losses.gan.params.mode")


def test_keys_are_shortened_to_what_tells_them_apart():
    keys = ["losses.l1.weight", "generator.params.depth", "generator.params.width", "discriminator.params.width"]
    assert list(short_names(keys).values()) == ["l1.weight", "depth", "generator.width", "discriminator.width"]
    assert label({"losses.l1.weight": 10, "engine.clip": None}) == "l1.weight=10 engine.clip=-"


def test_values_are_written_as_the_config_has_them():
    unet = {"use": "unet", "params": {"depth": 4, "skips": False}}
    assert (
        label({"generator": unet, "engine.compile": True}) == "generator=unet(depth=4,skips=false) engine.compile=true"
    )


def test_a_term_that_a_run_lacks_has_weight_0_and_brings_no_parameters():
    with_it = {"losses.l1.weight": 100, "losses.vgg.weight": 1, "losses.vgg.params.layer": 3, "losses.vgg.every": 1}
    found = with_absent_terms([with_it, {"losses.l1.weight": 100}])
    assert found[1]["losses.vgg.weight"] == 0
    keys, implied = differing(found)
    assert keys == ("losses.vgg.weight",)
    assert set(implied) == {"losses.vgg.params.layer", "losses.vgg.every"}


def test_titles_are_short():
    assert title({"losses.gan.weight": 0, "losses.l1.weight": 100}) == "gan 0 l1 100"
    assert title({"generator": "unet_64", "generator.params.depth": 4}) == "unet_64 depth 4"
