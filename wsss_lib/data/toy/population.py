"""Who and what is in a street: houses and trees behind, barriers along, traffic and people on it."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from wsss_lib.data.toy import people, roadside, vehicles
from wsss_lib.data.toy.buildings import house
from wsss_lib.data.toy.drives import Drive, Traffic
from wsss_lib.data.toy.shapes import Thing
from wsss_lib.data.toy.street import BEGIN, END, Block, Layout, Side, beside, building_line
from wsss_lib.data.toy.textures import one_of

Rng = np.random.Generator
FARTHEST = 70.0
"""Street furniture farther than this is left out: it would not reach a pixel's width."""


def populate(rng: Rng, layout: Layout, drive: Drive, traffic: Traffic, *, tram: bool) -> list[list[Thing]]:
    """All things of a street in layers that hide each other in this order; within a layer the nearer hides."""
    sides = (layout.left, layout.right)
    far = [*_skyline(rng, layout, drive)]
    blocks = [(side, block) for side in sides for block in side.blocks if block.z1 > -2.0]
    behind = [thing for side, block in blocks for thing in _behind(rng, layout, drive, side, block)]
    along = [thing for side, block in blocks for thing in _along(rng, layout, side, block)]
    street: list[Thing] = []
    for side in sides:
        street += _kerbside(rng, layout, side, traffic)
        street += _parked(rng, layout, side, traffic)
    street += _moving(rng, layout, traffic, tram=tram)
    street += _people(rng, layout, traffic)
    return [far, behind, along, street]


def nearest(thing: Thing) -> float:
    """Where a thing begins, seen from the camera: the order of painting within a layer."""
    return thing.z - (thing.shadow[1] if thing.shadow else 0.0)


def _skyline(rng: Rng, layout: Layout, drive: Drive) -> Iterator[Thing]:
    """What closes the street's end and shows over low roadsides."""
    closed = rng.random() < 0.6
    for x in np.arange(-75.0, 76.0, 15.0):
        if abs(x) > 12 or closed:
            if rng.random() < 0.6:
                yield house(rng, (15.0, rng.uniform(5, 16), 10.0), drive.houses).at(x, END + 12 + rng.uniform(0, 10))
            else:
                yield roadside.tree(rng, height=rng.uniform(8, 14)).at(x, END + 4)
    for sign in (-1, 1):
        for z in np.arange(25.0, END, 18.0):
            if rng.random() < 0.55:
                x = sign * (layout.half_road + rng.uniform(24, 40))
                tall = rng.random() < 0.4
                yield (
                    house(rng, (12.0, rng.uniform(5, 13), 14.0), drive.houses).at(x, z)
                    if tall
                    else roadside.tree(rng, height=rng.uniform(7, 13)).at(x, z)
                )


def _behind(rng: Rng, layout: Layout, drive: Drive, side: Side, block: Block) -> Iterator[Thing]:
    """Houses in a row, or trees, at and behind a block's front."""
    line = building_line(layout, side, block)
    if block.kind in ("park", "field", "fenced", "walled"):
        density = {"park": 0.3, "field": 0.04, "fenced": 0.1, "walled": 0.12}[block.kind]
        for _ in range(rng.poisson(density * (block.z1 - block.z0))):
            tall = rng.uniform(1.0, 2.4) if rng.random() < 0.3 else None
            yield roadside.tree(rng, height=tall).at(
                line + side.sign * rng.uniform(2.5, 16), rng.uniform(block.z0, block.z1)
            )
    back = {"houses": 0.0, "fenced": rng.uniform(6, 14), "walled": rng.uniform(5, 14)}.get(block.kind)
    if back is None or (block.kind != "houses" and rng.random() < 0.4):
        return
    z = block.z0
    while z < block.z1 - 4:
        length = min(rng.uniform(7, 17), block.z1 - z)
        width, height = rng.uniform(8, 12), layout.house_height * rng.uniform(0.7, 1.25)
        yield house(rng, (width, height, length), drive.houses).at(
            line + side.sign * (back + width / 2), z + length / 2
        )
        z += length + (rng.uniform(1.0, 5.0) if rng.random() < 0.3 else 0.0)


def _along(rng: Rng, layout: Layout, side: Side, block: Block) -> Iterator[Thing]:
    """The wall, fence or hedge between pavement and block."""
    x = beside(layout, side, side.verge + side.walk + 0.3)
    length = block.z1 - block.z0
    chance = rng.random()
    if block.kind == "walled":
        yield roadside.wall(rng, length).at(x, block.z0)
    elif block.kind == "fenced" or (block.kind == "houses" and block.setback > 2.5 and chance < 0.15):
        yield roadside.fence(rng, length).at(x, block.z0)
    elif block.kind in ("park", "houses") and block.setback > 1.5 and chance < 0.4:
        yield roadside.hedge(rng, length).at(x, block.z0)


def _kerbside(rng: Rng, layout: Layout, side: Side, traffic: Traffic) -> Iterator[Thing]:
    """Lamp posts and trees in rows, signs here and there, lights where a side street opens, clutter."""
    kerb = beside(layout, side, 0.45)
    if rng.random() < 0.8:
        spacing = rng.uniform(14, 30)
        for z in np.arange(rng.uniform(4, 4 + spacing), FARTHEST, spacing):
            yield roadside.lamp_post(rng, reach=-side.sign * 1.6).at(kerb, z)
    if rng.random() < traffic.street_trees:
        spacing = rng.uniform(7, 14)
        for z in np.arange(rng.uniform(6, 6 + spacing), END - 30, spacing):
            yield roadside.tree(rng, height=rng.uniform(4, 8)).at(beside(layout, side, 0.9), z)
    for _ in range(rng.poisson(traffic.signs / 2)):
        yield roadside.sign_post(rng).at(beside(layout, side, rng.uniform(0.3, 0.9)), rng.uniform(6, 45))
    corners = [block.z0 - 0.8 for block in side.blocks if block.kind == "crossing" and 6 < block.z0 < 60]
    if not corners and rng.random() < traffic.lights / 3:
        corners = [rng.uniform(10, 45)]
    for z in corners:
        if rng.random() < traffic.lights:
            reach = -side.sign * rng.uniform(2.5, 4.0) if rng.random() < 0.4 else 0.0
            yield roadside.light_post(rng, reach=reach).at(kerb, z)
    if rng.random() < traffic.clutter:
        yield roadside.clutter(rng).at(beside(layout, side, rng.uniform(0.9, 1.5)), rng.uniform(6, 35))
    if rng.random() < traffic.bicycle / 2:
        z, yaw = rng.uniform(6, 28), rng.uniform(0, np.pi)
        for k in range(int(rng.integers(1, 5))):
            yield people.bicycle(rng).at(
                beside(layout, side, rng.uniform(0.8, 1.2)), z + 0.7 * k, yaw + 0.1 * rng.standard_normal()
            )
    if rng.random() < traffic.motorcycle / 4:
        yield people.motorcycle(rng).at(beside(layout, side, 0.7), rng.uniform(6, 25), rng.uniform(0, np.pi))


def _parked(rng: Rng, layout: Layout, side: Side, traffic: Traffic) -> Iterator[Thing]:
    """Cars along the kerb, one way or the other, with gaps."""
    if rng.random() >= traffic.parked:
        return
    density = rng.uniform(*traffic.parked_density)
    for z in np.arange(rng.uniform(5, 11), 75.0, 6.3):
        if rng.random() < density and not side.crosses(np.array([z - 3, z + 3])).any():
            yaw = 0.0 if (side.sign > 0) != (rng.random() < 0.15) else np.pi
            build = vehicles.truck if rng.random() < 0.012 else vehicles.car
            yield build(rng).at(beside(layout, side, -1.1), z, yaw + 0.03 * rng.standard_normal())


def _moving(rng: Rng, layout: Layout, traffic: Traffic, *, tram: bool) -> list[Thing]:
    """Traffic in both lanes; every vehicle finds a free stretch of its lane. Speeds in metres per frame."""
    lane = layout.half_road / 2
    taken: dict[int, list[tuple[float, float]]] = {-1: [], 1: []}
    things: list[Thing] = []

    def enter(build: Callable[[Rng], Thing], length: float, first: float, last: float, *, sign: int = 0) -> None:
        sign = sign or (1 if rng.random() < 0.5 else -1)
        z = rng.uniform(first, last)
        if any(abs(z - other) < (length + extent) / 2 + 2 for other, extent in taken[sign]):
            return
        taken[sign].append((z, length))
        speed = sign * rng.uniform(0.2, 0.7)
        x = sign * lane * rng.uniform(0.8, 1.1)
        things.append(build(rng).at(x, z, 0.0 if sign > 0 else np.pi, (0.0, speed)))

    if tram:
        enter(vehicles.train, 26.0, 24.0, 60.0, sign=-1 if rng.random() < 0.7 else 1)
    for build, chance, length, first, last in (
        (vehicles.bus, traffic.bus, 12.0, 16.0, 50.0),
        (vehicles.truck, traffic.truck, 8.0, 13.0, 55.0),
        (people.motorcyclist, 0.6 * traffic.motorcycle, 2.5, 8.0, 28.0),
        (people.cyclist, 0.7 * traffic.rider, 2.5, 7.0, 30.0),
    ):
        if rng.random() < chance:
            enter(build, length, first, last)
    for _ in range(rng.poisson(traffic.moving_cars)):
        enter(vehicles.car, 5.0, 10.5, 80.0)
    if rng.random() < 0.12:  # somebody drives across
        sign = one_of(rng, (-1.0, 1.0))
        crossing = vehicles.car(rng).at(rng.uniform(-8, 8), rng.uniform(18, 45), sign * np.pi / 2, (sign * 0.5, 0.0))
        if all(abs(crossing.z - z) > extent / 2 + 3 for spans in taken.values() for z, extent in spans):
            things.append(crossing)
    return things


def _people(rng: Rng, layout: Layout, traffic: Traffic) -> Iterator[Thing]:
    """Walkers alone and in groups on the pavements, sometimes on the road, and cyclists who cross."""
    for _ in range(rng.poisson(traffic.persons)):
        side = layout.left if rng.random() < 0.5 else layout.right
        x, z = beside(layout, side, side.verge + rng.uniform(0.4, side.walk)), rng.uniform(6, 45)
        step = (0.0, one_of(rng, (-0.13, 0.13)))
        if rng.random() < 0.15:
            x, step = rng.uniform(-1, 1) * layout.half_road, (one_of(rng, (-0.13, 0.13)), 0.0)
        for k in range(1 + int(rng.integers(1, 4)) * (rng.random() < 0.3)):
            yield people.person(rng).at(x + 0.55 * k, z + rng.uniform(-0.4, 0.4), 0.0, step)
    if rng.random() < 0.25 * traffic.rider:
        sign = one_of(rng, (-1.0, 1.0))
        yaw = sign * np.pi / 2
        yield people.cyclist(rng).at(rng.uniform(-1, 1) * layout.half_road, rng.uniform(8, 22), yaw, (sign * 0.3, 0.0))


def by_distance(layers: Sequence[Sequence[Thing]], shift: float = 0.0) -> Iterator[Thing]:
    """All things in the order of painting, moved on by ``shift`` frames."""
    for layer in layers:
        moved = [
            t.at(t.x + shift * t.velocity[0], t.z + shift * t.velocity[1], t.yaw, t.velocity) if shift else t
            for t in layer
        ]
        yield from sorted((t for t in moved if t.z > BEGIN - 60), key=nearest, reverse=True)
