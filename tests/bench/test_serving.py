"""The load of a server is measured by requests that are answered; how fast this machine is, is no test."""

from __future__ import annotations

import json

import p2pkit
from p2pkit.bench.serving import bench_serve


def test_a_row_for_each_number_of_clients(tiny, quiet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = p2pkit.train({**tiny, "schedule": {"steps": 1}}, registry=quiet)
    translator = p2pkit.load(run.folder, device="cpu", registry=quiet)
    measured = bench_serve(translator, clients=(1, 4), requests=3, rounds=1)
    json.dumps(measured)
    assert [row["variant"] for row in measured["rows"]] == ["one_by_one", "clients_1", "clients_4"]
    for row in measured["rows"]:
        assert row["spread"][0] <= row["requests_per_second"] <= row["spread"][1]
        assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert measured["rows"][0]["ratio"] == 1
