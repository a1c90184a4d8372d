"""Every photo in one batch of one host, in an order that the seed and the epoch alone decide."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.fit.sampler import Share, epoch_shares, steps_in_epoch
from training.hosts.cluster import Cluster


def shares(photos: int, batch: int, world: int, rank: int, skip: int = 0) -> list[Share]:
    cluster = Cluster(rank=rank, world=world)
    return list(epoch_shares(photos, batch_size=batch, seed=3, epoch=2, cluster=cluster, skip=skip))


@settings(deadline=None)
@given(photos=st.integers(1, 60), batch=st.integers(1, 20), world=st.integers(1, 5))
def test_every_photo_counts_once_over_all_hosts(photos: int, batch: int, world: int) -> None:
    parts = [shares(photos, batch, world, rank) for rank in range(world)]
    counted = [int(i) for part in parts for share in part if share.counts for i in share.rows]
    assert sorted(counted) == list(range(photos))
    assert {len(part) for part in parts} == {steps_in_epoch(photos, batch)}
    alone = shares(photos, batch, 1, 0)
    for step, whole in enumerate(alone):
        mine = [part[step] for part in parts]
        assert sorted(int(i) for s in mine if s.counts for i in s.rows) == sorted(whole.rows)
        assert all(len(s.rows) > 0 and (s.whole == whole.whole).all() for s in mine)


@pytest.mark.parametrize("skip", [0, 1, 4, 5])
def test_an_epoch_goes_on_where_it_was_left(skip: int) -> None:
    whole, rest = shares(33, 8, 1, 0), shares(33, 8, 1, 0, skip)
    assert [list(s.rows) for s in rest] == [list(s.rows) for s in whole[skip:]]
