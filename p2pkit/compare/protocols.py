"""How scores were measured; numbers of different protocols never stand in one column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p2pkit.compare.records import Record, Scored
from p2pkit.errors import ModelError, Problem
from p2pkit.untyped import Plain


@dataclass(frozen=True)
class Protocols:
    """The protocols of a comparison.

    Args:
        chosen: Their texts, in the order of the columns.
        fields: For each, what it says.
    """

    chosen: tuple[str, ...]
    fields: Mapping[str, Plain]

    @property
    def differing(self) -> tuple[str, ...]:
        """The fields in which they differ."""
        return differing_fields([self.fields[protocol] for protocol in self.chosen])

    def title(self, protocol: str) -> str:
        """Return what tells a protocol from the others: `split=test`; nothing where it is the only one."""
        fields = self.fields[protocol]
        said = [f"{name}={fields[name]}" for name in self.differing if name in fields]
        return ", ".join(said or (f"no {name}" for name in self.differing))

    def described(self) -> dict[str, Plain]:
        """Return what each protocol says, by its title."""
        return {self.title(protocol): self.fields[protocol] for protocol in self.chosen}


def differing_fields(protocols: Sequence[Plain]) -> tuple[str, ...]:
    """Return the fields in which protocols differ."""
    names = dict.fromkeys(name for fields in protocols for name in fields)
    return tuple(name for name in names if len({repr(fields.get(name)) for fields in protocols}) > 1)


def choose_protocols(records: Sequence[Record], *, by_protocol: bool) -> Protocols:
    """Choose the protocols under which all runs were scored, or every one of them.

    Args:
        records: The runs; those without scores do not count.
        by_protocol: Whether to take every protocol.

    Raises:
        ModelError: No protocol is common to all, or a metric's own differs, such as its weights.
    """
    scored = [record for record in records if record.latest]
    fields = {name: each.report.protocol for record in scored for name, each in record.latest.items()}
    common = [name for name in fields if all(name in record.latest for record in scored)]
    if by_protocol or common:
        chosen = Protocols(tuple(fields if by_protocol else common), fields)
        _check_metrics(scored, chosen)
        return chosen
    raise ModelError(_refusal(scored))


def _check_metrics(records: Sequence[Record], protocols: Protocols) -> None:
    """Refuse a metric that looked through other weights, or had other parameters, in one run than in another."""
    problems = []
    for protocol in protocols.chosen:
        reports = {record.name: record.latest[protocol].report for record in records if protocol in record.latest}
        for metric in dict.fromkeys(metric for report in reports.values() for metric in report.metrics):
            own = {run: r.own_protocols.get(metric, {}) for run, r in reports.items() if metric in r.metrics}
            said = "; ".join(f"{name} is {_values(name, own)}" for name in differing_fields(list(own.values())))
            if said:
                cause = f"was not measured in the same way, so its values can't be compared: {said}"
                problems.append(Problem(metric, cause, "score the runs alike by p2pkit evaluate"))
    if problems:
        raise ModelError(problems)


def _refusal(records: Sequence[Record]) -> Problem:
    """Say how the scores of the runs themselves were measured differently, and what would help."""
    own = {record.name: _own(record).report.protocol for record in records}
    names = differing_fields(list(own.values()))
    values = {name: _values(name, own) for name in names}
    cause = "these runs were not measured in the same way, so their scores can't be compared: " + "; ".join(
        f"{name} is {said}" for name, said in values.items()
    )
    return Problem("", cause, "score all of them alike by p2pkit evaluate, or give each its columns by --by-protocol")


def _own(record: Record) -> Scored:
    return (record.history or tuple(record.latest.values()))[-1]


def _values(name: str, own: Mapping[str, Plain]) -> str:
    """Write `batch_norm is running (first), batch (second and 3 more)`."""
    runs: dict[str, list[str]] = {}
    for run, fields in own.items():
        runs.setdefault(str(fields.get(name, "not said")), []).append(run)
    return ", ".join(
        f"{value} ({each[0]}{f' and {len(each) - 1} more' if len(each) > 1 else ''})" for value, each in runs.items()
    )
