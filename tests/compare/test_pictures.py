"""Contact sheet, plots and page."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from p2pkit.compare import compare, draw_contact_sheet, figures, save_plots, write_page


@pytest.fixture
def compared(made):
    folders = [
        made(
            f"{value}-{seed}",
            {"losses.l1.weight": value, "engine.seed": seed},
            colour=2 * value,
            l1=0.1 * value,
            psnr=1.0,
        )
        for value in (1, 10, 100)
        for seed in (0, 1)
    ]
    return compare(folders)


def test_the_sheet_shows_what_each_point_makes_of_each_source(compared, tmp_path):
    draw_contact_sheet(compared, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    row = pixels[pixels.shape[0] // 4]
    present = [int(value) for value in row[64::136, 0]][:5]
    assert present == [0, 255, 2, 20, 200]  # source, target, and the fakes of three points


def test_there_is_a_plot_for_each_key_and_for_steps_and_time(compared):
    drawn = dict(figures(compared))
    assert list(drawn) == ["by losses.l1.weight", "over steps", "over minutes"]
    axes = drawn["by losses.l1.weight"].axes
    assert [each.get_ylabel() for each in axes] == ["l1", "psnr"]
    assert axes[0].get_xscale() == "log"
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["1", "10", "100"]
    line = axes[0].containers[0].lines[0]
    assert np.allclose(line.get_ydata(), [0.1, 1.0, 10.0])
    curves = drawn["over minutes"].axes[0].get_lines()
    assert len(curves) == 6
    assert list(curves[0].get_xdata()) == [0, 1]


@pytest.mark.parametrize(
    ("values", "scale"), [((1, 2, 3), "linear"), ((0, 1, 100), "symlog"), ((0.01, 1), "log"), ((-10, 100), "linear")]
)
def test_a_wide_range_is_logarithmic(made, values, scale):
    folders = [made(str(value), {"losses.l1.weight": value}, l1=0.5) for value in values]
    figure = next(drawn for _, drawn in figures(compare(folders)))
    assert figure.axes[0].get_xscale() == scale


def test_names_are_categories(made):
    networks = [{"use": f"p2pkit:{name}", "alias": name, "params": {}} for name in ("unet", "resnet")]
    folders = [made(network["alias"], {"generator": network}, l1=0.5) for network in networks]
    figure = next(drawn for _, drawn in figures(compare(folders)))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["unet", "resnet"]


def test_plots_are_files(compared, tmp_path):
    files = save_plots(compared, tmp_path / "plots")
    assert [file.name for file in files] == ["by-losses.l1.weight.png", "over-steps.png", "over-minutes.png"]
    for file in files:
        with Image.open(file) as picture:
            assert np.asarray(picture).std() > 0


def test_the_page_holds_all_there_is(compared, tmp_path):
    write_page(compared, tmp_path / "out" / "page.html", title="Weights <of> L1")
    text = (tmp_path / "out" / "page.html").read_text()
    assert "<h1>Weights &lt;of&gt; L1</h1>" in text
    assert "6 runs, 3 points; they differ in losses.l1.weight" in text
    assert re.search(r"class='number best'>0\.1000 ± 0\.0000<", text)
    assert "measured with split val, count 8, batch_norm running" in text
    pictures = re.findall(r'src="data:image/([\w+]+);base64,([^"]+)"', text)
    kinds = [kind for kind, _ in pictures]
    assert kinds.count("png") == 2 * 5  # two sources; source, target and the fakes of three points
    assert kinds.count("svg+xml") == 2 * 3  # two metrics; by the weight, over steps and over minutes
    with Image.open(io.BytesIO(base64.b64decode(pictures[0][1]))) as sample:
        assert sample.size == (16, 16)
    assert not re.findall(r'src="(?!data:)', text)
    links = re.findall(r'href="([^"]+)"', text)
    assert [(tmp_path / "out" / link).resolve().name for link in links] == [run.name for run in compared.runs]
    assert re.search(r"<td class='number'>0, 1</td>", text)  # the seeds of a point


def test_nothing_lies_between_two_names_and_each_is_whole(made):
    names = [f"a_network_with_a_long_name_{index}" for index in range(3)]
    networks = [{"use": f"p2pkit:{name}", "alias": name, "params": {}} for name in names]
    folders = [made(network["alias"], {"generator": network}, l1=0.5) for network in networks]
    axes = next(drawn for _, drawn in figures(compare(folders))).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    assert axes.containers[0].lines[0].get_linestyle() == "None"


ODD = ["[/red]", r"$\frac$", "<script>", "a/b", "line\nbreak", "x" * 20_000, ":smile:", "50%", "_", "{}"]


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
def test_odd_names_are_shown_as_they_are(made, tmp_path, name, capsys):
    from p2pkit.cli.tables import print_comparison

    term = {"use": "p2pkit:l1", "alias": "l1", "params": {}, "every": 1}
    changes = [{f"losses.{name}": {**term, "weight": weight}, "generator.alias": name * 2} for weight in (1.0, 2.0)]
    changes[1]["generator.alias"] = name * 3
    found = compare([made(str(i), change, l1=0.5) for i, change in enumerate(changes)])
    for file in save_plots(found, tmp_path / "plots"):
        assert file.parent == tmp_path / "plots"
        assert len(file.name) < 200
    write_page(found, tmp_path / "page.html")
    assert "<script>.weight" not in (tmp_path / "page.html").read_text()
    print_comparison(found)
    assert name.split("\n")[0][:20] in capsys.readouterr().out
