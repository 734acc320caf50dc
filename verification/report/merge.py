"""Join the summaries of a run's shards into the one of the whole."""

from collections.abc import Sequence

from verification.report.summary import Summary

SAME = ("scratch-layers", "torch", "hypothesis", "commit", "profile")
"""What shards of one run have in common; the platform may differ."""


def merge(shards: Sequence[Summary]) -> Summary:
    """The whole run; its seconds are those of the slowest shard, since they run side by side.

    Raises:
        ValueError: a shard is missing or there twice, a summary is of no shard, or they are not of
            one run.
    """
    names = [summary.provenance.get("shard") or "" for summary in shards]
    count = _count(names)
    wanted = [f"{number}/{count}" for number in range(1, count + 1)]
    missing = [name for name in wanted if name not in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if missing:
        raise ValueError(f"shard {', '.join(missing)} is missing: run it again, then merge")
    if twice:
        raise ValueError(f"shard {', '.join(twice)} is there twice")
    for fact in SAME:
        values = sorted({str(summary.provenance.get(fact)) for summary in shards})
        if len(values) > 1:
            raise ValueError(f"the shards are not of one run: {fact} is {' and '.join(values)}")
    provenance = {n: v for n, v in shards[0].provenance.items() if n != "shard"}
    return Summary(
        tuple(sorted((c for s in shards for c in s.cells), key=lambda c: c.layer)),
        tuple(sorted((p for s in shards for p in s.not_applicable), key=lambda p: p.layer)),
        max(summary.seconds for summary in shards),
        provenance | {"shards": str(count)},
        tuple(sorted({known for s in shards for known in s.known})),
    )


def _count(names: Sequence[str]) -> int:
    """Of how many shards these are, by the names that they have."""
    counts = sorted({name.partition("/")[2] for name in names})
    if not counts or "" in counts:
        raise ValueError("a summary is of no shard: `report` reads that of a whole run")
    if len(counts) > 1:
        raise ValueError(f"the shards are of {' and '.join(counts)}: not of one run")
    return int(counts[0])
