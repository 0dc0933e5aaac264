"""Float arithmetic on lists: the planets of the outer solar system."""

PI = 3.141592653589793
SOLAR_MASS = 4 * PI * PI
DAYS = 365.24


def make_bodies():
    """Sun, Jupiter, Saturn, Uranus and Neptune as [x, y, z, vx, vy, vz, mass]."""
    rows = [
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
        (4.84143144246472090, -1.16032004402742839, -0.103622044471123109,
         0.00166007664274403694, 0.00769901118419740425, -0.0000690460016972063023, 0.000954791938424326609),
        (8.34336671824457987, 4.12479856412430479, -0.403523417114321381,
         -0.00276742510726411000, 0.00499852801234917238, 0.0000230417297573763929, 0.000285885980666130812),
        (12.8943695621391310, -15.1111514016986312, -0.223307578892655734,
         0.00296460137564761618, 0.00237847173959480950, -0.0000296589568540237556, 0.0000436624404335156298),
        (15.3796971148509165, -25.9193146099879641, 0.179258772950371181,
         0.00268067772490389322, 0.00162824170038242295, -0.0000951592254519715870, 0.0000515138902046611451),
    ]  # fmt: skip
    return [[x, y, z, vx * DAYS, vy * DAYS, vz * DAYS, mass * SOLAR_MASS] for x, y, z, vx, vy, vz, mass in rows]


def advance(bodies, pairs, dt, steps):
    for _ in range(steps):
        for a, b in pairs:
            dx = a[0] - b[0]
            dy = a[1] - b[1]
            dz = a[2] - b[2]
            mag = dt * (dx * dx + dy * dy + dz * dz) ** -1.5
            mass_a = a[6] * mag
            mass_b = b[6] * mag
            a[3] -= dx * mass_b
            a[4] -= dy * mass_b
            a[5] -= dz * mass_b
            b[3] += dx * mass_a
            b[4] += dy * mass_a
            b[5] += dz * mass_a
        for body in bodies:
            body[0] += dt * body[3]
            body[1] += dt * body[4]
            body[2] += dt * body[5]


def energy(bodies, pairs):
    total = 0.0
    for a, b in pairs:
        dx, dy, dz = a[0] - b[0], a[1] - b[1], a[2] - b[2]
        total -= a[6] * b[6] / (dx * dx + dy * dy + dz * dz) ** 0.5
    for _, _, _, vx, vy, vz, mass in bodies:
        total += mass * (vx * vx + vy * vy + vz * vz) / 2
    return total


def run():
    bodies = make_bodies()
    pairs = [(a, b) for i, a in enumerate(bodies) for b in bodies[i + 1 :]]
    advance(bodies, pairs, 0.01, 65_000)
    # pow() differs in the last digits between C libraries.
    return round(energy(bodies, pairs), 9)
