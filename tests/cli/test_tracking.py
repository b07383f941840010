from __future__ import annotations

SENDS = """
import p2pkit

@p2pkit.hookimpl
def p2pkit_replay(folder):
    return f"{folder}: sent 3 entries"
"""


def test_replay_says_what_was_sent(p2pkit, tmp_path):
    (tmp_path / "sends.py").write_text(SENDS)
    (tmp_path / "runs" / "one").mkdir(parents=True)
    ran = p2pkit("tracking", "replay", "runs/one", "--plugin", "sends.py")
    assert (ran.code, ran.out) == (0, "runs/one: sent 3 entries\n")


def test_replay_says_that_nothing_is_left(p2pkit, tmp_path):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    assert p2pkit("tracking", "replay", "runs/one").out == "runs/one: nothing is left to send\n"


def test_replay_of_no_run_is_an_error(p2pkit):
    ran = p2pkit("tracking", "replay", "nowhere")
    assert ran.code == 2
    assert "there is no run or checkpoint 'nowhere'" in ran.err
