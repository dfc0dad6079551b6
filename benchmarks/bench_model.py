"""Speed of the nano model, as ratios measured in one run: training against a plain GPT, streaming against its tick and against recomputing.

    OMP_NUM_THREADS=1 python benchmarks/bench_model.py

Rates under load differ from machine to machine; ratios hold. CPU time stands beside wall time: where they part, other programs were
running. The floors come from `model/cost.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from model import cost
from model.config import ModelConfig, nano
from model.dmel import DMel
from model.interaction import InteractionModel, ModelState
from model.train import multiplies_bfloat16
from model.trunk import Trunk
from workbench.agents import Mouth
from workbench.clock import ClockSpec, Tick, few_pauses
from workbench.neural import CHECKPOINT, load_agent
from workbench.neural.own_voice import OwnVoice, voice_of
from workbench.packets import AGENT_AUDIO, USER_CAMERA, MicroTurn
from workbench.scenarios import MEDLEY_WEIGHTS, SEEING_WEIGHTS, medley
from workbench.session import Participant, Said, Session
from workbench.users import ScriptedUser

ROWS, POSITIONS = 24, 350
TICKS_PER_HOUR = 18_000
CONTEXT_S = 30
SESSION_S = 300.0
WARM_TICKS = 300  # after which every window is full


class PlainBlock(nn.Module):
    """A GPT layer: causal `scaled_dot_product_attention` and a GELU layer of four times the width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        q, k, v = self.project(self.norms[0](x_BTD)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x_BTD = x_BTD + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        y_BTD: Tensor = x_BTD + self.narrow(F.gelu(self.widen(self.norms[1](x_BTD))))
        return y_BTD


def seconds(run: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """Wall and CPU seconds of every repeat, each sorted."""
    wall, cpu = [], []
    for _ in range(repeats):
        start, start_cpu = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return sorted(wall), sorted(cpu)


def training_step(model: nn.Module, bfloat16: bool) -> Callable[[], None]:
    x = torch.randn(ROWS, POSITIONS, 256, requires_grad=True)
    direction = torch.randn(ROWS, POSITIONS, 256)

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            y = model(x)
        (y[0] if isinstance(y, tuple) else y).float().backward(direction)
        model.zero_grad()

    return run


def bench_training(config: ModelConfig) -> None:
    trunk = config.trunk
    plain = nn.Sequential(*(PlainBlock(trunk.width, trunk.num_heads) for _ in range(trunk.num_layers)), nn.LayerNorm(trunk.width))
    ours = Trunk(trunk)
    floor = 3 * ROWS * cost.sequence_flops(trunk, POSITIONS)
    print(f"\ntraining step, {ROWS} x {POSITIONS} positions, {torch.get_num_threads()} thread(s); target: ratio <= 1.5")
    print(f"{'':10s}{'plain GPT':>16s}{'trunk':>16s}{'ratio (CPU)':>13s}{'ratio (wall)':>14s}{'floor GFLOP':>13s}{'GFLOP/s':>9s}")
    here = multiplies_bfloat16(torch.device("cpu"))
    for name, bfloat16 in (("bfloat16", True), ("float32", False))[0 if here else 1 :]:
        steps = [training_step(model, bfloat16) for model in (plain, ours)]
        for step in steps:
            step()
        times = [[seconds(step, 1) for step in steps] for _ in range(4)]
        wall = [min(repeat[i][0][0] for repeat in times) for i in range(2)]
        cpu = [min(repeat[i][1][0] for repeat in times) for i in range(2)]
        print(
            f"{name:10s}{cpu[0] * 1e3:11.0f} ms{cpu[1] * 1e3:13.0f} ms{cpu[1] / cpu[0]:12.2f}{wall[1] / wall[0]:14.2f}"
            f"{floor / 1e9:13.0f}{floor / 1e9 / cpu[1]:9.0f}"
        )


def after_an_hour(model: InteractionModel, positions_per_tick: int) -> ModelState:
    """The state of a session whose trunk has taken in an hour of positions (random ones), in chunks."""
    state = model.start(1)
    trunk = state.trunk
    left = TICKS_PER_HOUR * positions_per_tick
    while left:
        chunk = min(left, 17)
        _, after = model.trunk(torch.randn(1, chunk, model.config.trunk.width), trunk)
        assert after is not None
        trunk, left = after, left - chunk
    return replace(state, trunk=trunk, counter_B=torch.tensor([TICKS_PER_HOUR]))


class Cell:
    """One tick of a session: both voices through the front end, the cell through the trunk and the heads, `tokens` outputs appended."""

    def __init__(self, model: InteractionModel, state: ModelState, tokens: int) -> None:
        self.model, self.state, self.tokens = model, state, tokens
        self.samples = DMel().hop_samples * model.config.frames_per_cell

    def __call__(self) -> None:
        model = self.model
        user, own = 0.1 * torch.randn(1, self.samples), 0.1 * torch.randn(1, self.samples)
        user_levels, own_levels, state = model.levels_of(self.state, user, own)
        _, state = model.listen(state, user_levels, own_levels, torch.tensor([True]))
        for _ in range(self.tokens):
            _, state = model.say(state, torch.tensor([5]))
        self.state = state


class SpokenTick:
    """The same with two outputs, and 200 ms of the own voice sounded; a long word begins every third tick, as in a count."""

    def __init__(self, tick: Cell) -> None:
        voice = voice_of("voice")
        assert voice is not None
        self.tick, self.mouth, self.clock, self.number = tick, Mouth(OwnVoice(voice)), ClockSpec(), 0
        self.state = self.mouth.start(1)

    def __call__(self) -> None:
        self.tick()
        words = ("twenty-seven",) if self.number % 3 == 0 else ()
        _, _, self.state = self.mouth.act(self.state, self.clock, Tick(self.number), words)
        self.number += 1


def bench_speaking(model: InteractionModel) -> None:
    tick = SpokenTick(Cell(model, after_an_hour(model, 2 + model.config.audio_positions), 2))
    seconds(tick, 20)
    wall, cpu = seconds(tick, 300)
    print(
        f"\nwhole tick that says two words in its own voice, after an hour: {wall[150] * 1e3:.1f} ms, p99 {wall[297] * 1e3:.1f} ms, "
        f"CPU {cpu[150] * 1e3:.1f} ms (target: 40 ms at p99)"
    )


def bench_streaming(model: InteractionModel) -> None:
    config = model.config
    here = 2 + config.audio_positions
    hour = after_an_hour(model, here)
    threads = torch.get_num_threads()
    print(f"\none tick (200 ms), one session, {threads} thread(s); target: ten times faster than the clock at p99 after an hour")
    print(f"{'':34s}{'p50':>9s}{'p99':>9s}{'CPU p50':>10s}{'x faster at p99':>17s}{'held':>9s}")
    early = model.start(1)
    for name, state, tokens in (
        ("silent, at the beginning", early, 0),
        ("silent, after an hour", hour, 0),
        ("says a word, after an hour", None, 1),
        ("says two words, after an hour", None, 2),
    ):
        tick = Cell(model, state or hour, tokens)
        seconds(tick, 20)
        wall, cpu = seconds(tick, 300)
        hour = tick.state if state is not early else hour
        held = sum(t.nbytes for t in tick.state.to_dict().values())
        p50, p99 = wall[150], wall[297]
        print(f"{name:34s}{p50 * 1e3:6.1f} ms{p99 * 1e3:6.1f} ms{cpu[150] * 1e3:7.1f} ms{0.2 / p99:17.0f}{held / 1e6:6.1f} MB")
    bench_recomputing(model, hour, cpu_s=seconds(Cell(model, hour.clone(), 0), 100)[1][50])
    bench_floor(model, hour)


def bench_recomputing(model: InteractionModel, state: ModelState, cpu_s: float) -> None:
    """Against the cheapest form of recomputing: front end and trunk over the last 30 s, heads left out."""
    positions = CONTEXT_S * 5 * (2 + model.config.audio_positions)
    sound, x = 0.1 * torch.randn(2, CONTEXT_S * 16_000), torch.randn(1, positions, model.config.trunk.width)

    def recompute() -> None:
        model.audio(model.dmel.levels(model.dmel.log_mel(sound)))
        model.trunk(x)

    _, cpu = seconds(recompute, 10)
    print(
        f"\nrecomputing {CONTEXT_S} s each tick: {cpu[5] * 1e3:.0f} ms of CPU; streaming is {cpu[5] / cpu_s:.1f} times faster (target: 5)"
    )


def bench_floor(model: InteractionModel, state: ModelState) -> None:
    floor = cost.tick_cost(model.config, TICKS_PER_HOUR)
    with FlopCounterMode(display=False) as counter:
        Cell(model, state.clone(), 0)()
    print(
        f"floor of a tick (model/cost.py): {floor.flops / 1e6:.1f} MFLOP, {floor.bytes / 1e6:.1f} MB read; "
        f"matrix products counted by torch: {counter.get_total_flops() / 1e6:.1f} MFLOP"
    )


class Timed:
    """An agent whose every step is timed."""

    def __init__(self, agent: Participant) -> None:
        self.agent = agent
        self.name, self.speaks, self.hears = agent.name, agent.speaks, agent.hears
        self.steps: list[tuple[float, bool, bool]] = []  # seconds, whether it saw something, whether it sounded

    def spec(self) -> Mapping[str, Any]:
        return self.agent.spec()

    def start(self, clock: ClockSpec, seed: int) -> Any:
        return self.agent.start(clock, seed)

    def step(self, state: Any, number: Tick, heard: MicroTurn) -> tuple[Said, Any]:
        begun_s = time.perf_counter()
        said, state = self.agent.step(state, number, heard)
        took_s = time.perf_counter() - begun_s
        self.steps.append((took_s, heard.get(USER_CAMERA) is not None, any(packet.stream == AGENT_AUDIO for packet in said.packets)))
        return said, state


def bench_session() -> None:
    """The shipped agent in a session, much of it before a camera: all that a tick takes, decision record and voice too."""
    begun, begun_cpu = time.perf_counter(), time.process_time()
    agent = load_agent(CHECKPOINT)
    loaded_s, loaded_cpu_s = time.perf_counter() - begun, time.process_time() - begun_cpu
    print(
        f"\nthe shipped weights: {CHECKPOINT.stat().st_size / 1e6:.1f} MB, loaded in {loaded_s:.2f} s, CPU {loaded_cpu_s:.2f} s (target: 2)"
    )
    timed = Timed(agent)
    script = medley(1, "train", SESSION_S, weights={**MEDLEY_WEIGHTS, **{name: 4.0 * each for name, each in SEEING_WEIGHTS.items()}})
    Session.start([ScriptedUser(script), timed]).run(round(SESSION_S * 5))
    steps = timed.steps[WARM_TICKS:]
    print(f"a whole tick of it in {SESSION_S / 60:.0f} minutes: sound, pictures, words, the decision and its record, its voice")
    print(f"{'':34s}{'ticks':>7s}{'p50':>9s}{'p99':>9s}{'x faster at p99':>17s}")
    for name, chosen in (
        ("all", steps),
        ("that see something", [step for step in steps if step[1]]),
        ("in which it sounds (target: 40 ms)", [step for step in steps if step[2]]),
        ("that see nothing, and it is silent", [step for step in steps if not step[1] and not step[2]]),
    ):
        took = sorted(step[0] for step in chosen)
        p50, p99 = took[len(took) // 2], took[int(0.99 * len(took))]
        print(f"{name:34s}{len(took):7d}{p50 * 1e3:6.1f} ms{p99 * 1e3:6.1f} ms{0.2 / p99:17.0f}")


def bench_batch(model: InteractionModel) -> None:
    print("\ntrunk step of two positions by sessions in the batch, CPU time")
    for rows in (1, 8, 32):
        state = model.trunk.start(rows)
        x = torch.randn(rows, 2, model.config.trunk.width)

        def run(x: Tensor = x) -> None:
            nonlocal state
            _, after = model.trunk(x, state)
            assert after is not None
            state = after

        seconds(run, 10)
        _, cpu = seconds(run, 60)
        print(f"{rows:4d} sessions {cpu[30] * 1e3:7.1f} ms  {cpu[30] * 1e3 / rows:6.2f} ms each")


def main() -> None:
    torch.manual_seed(0)
    config = replace(nano(), vision=None)
    bench_training(config)
    model = InteractionModel(config).eval()
    with torch.inference_mode(), few_pauses():  # as a paced session runs it
        bench_streaming(model)
        bench_speaking(model)
        bench_batch(model)
        bench_session()


if __name__ == "__main__":
    main()
