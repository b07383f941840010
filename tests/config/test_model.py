from __future__ import annotations

import pytest
from pydantic import ValidationError

from p2pkit import RunLength
from p2pkit.config.model import PublishedConfig, RunConfig, ScheduleConfig
from p2pkit.config.sections import Section
from p2pkit.config.tracking import TrackingConfig


def test_lengths_count_in_epochs_or_steps():
    assert ScheduleConfig().length == 200
    assert ScheduleConfig(steps=7).length == 7
    assert ScheduleConfig(steps=8).run_length(20) == RunLength(8, 1, 4)
    assert ScheduleConfig(epochs=8, decay_after=3).run_length(20) == RunLength(160, 20, 60)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 3, "steps": 4}, "give epochs or steps, not both"),
        ({"epochs": 3, "decay_after": 4}, "decay_after is 4, after the end at 3"),
    ],
)
def test_a_schedule_that_contradicts_itself(values, message):
    with pytest.raises(ValidationError, match=message):
        ScheduleConfig(**values)


def sections(section: type[Section] = RunConfig):
    yield section
    for field in section.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from sections(field.annotation)


@pytest.mark.parametrize("section", list(sections()), ids=lambda section: section.__name__)
def test_every_key_is_described(section):
    assert [name for name, field in section.model_fields.items() if not field.description] == []


def test_a_tiny_config_has_defaults_for_all_the_rest():
    config = RunConfig.model_validate({"dataset": {"use": "shapes"}})
    assert {name: term.weight for name, term in config.losses.items()} == {"gan": 1, "l1": 100}
    assert [metric.use for metric in config.evaluate.metrics] == ["l1", "psnr", "ssim"]


def test_published_figures_are_complete():
    with pytest.raises(ValidationError, match="L1 has 1 figures for 2 metrics"):
        PublishedConfig(metrics={"l1": "L1", "psnr": "PSNR"}, points={"L1": [0.1]})


def test_a_folder_that_no_disk_can_have_is_refused_before_training():
    with pytest.raises(ValidationError, match="no path holds the character NUL"):
        TrackingConfig(folder="a\0b")
