"""The command line of `scripts/bench`."""

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import report, translator
from benchmarks.figures import PARTS, Benchmark, Plan
from benchmarks.load import Load, Upstream, compile_load, make_certificate
from benchmarks.targets import BARE, DIRECT, GATEWAY, GATEWAY_WEB, in_tls, peers
from benchmarks.workload import ROOT


def main() -> int:
    """Run what was asked for; the exit status says nothing about goals."""
    options = _arguments()
    results: dict[str, Any] = {"machine": _machine()}
    try:
        if options.translator:
            results["translator"] = _translator(options.quick)
        else:
            results["figures"] = _figures(options)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{results['machine']}\nResults: {options.json}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure what the gateway costs, next to bare mitmproxy and its peers."
    )
    parser.add_argument("--peers", action="store_true", help="install and measure codex-relay and LiteLLM too")
    parser.add_argument("--tls", action="store_true", help="speak TLS to the upstream, as providers do")
    parser.add_argument("--translator", action="store_true", help="only the translation, in process; takes seconds")
    parser.add_argument("--quick", action="store_true", help="less of everything, for a first impression")
    parser.add_argument("--part", action="append", choices=PARTS, help="measure only this; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="how often streams are measured (default: 3)")
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench.json", help="where the results go")
    parser.add_argument("--plot", type=Path, help="write a picture of the results (SVG)")
    return parser.parse_args()


def _figures(options: argparse.Namespace) -> dict[str, Any]:
    parts = frozenset(options.part or PARTS)
    plan = Plan(options.rounds, seconds=3, parts=parts)
    if options.quick:
        plan = Plan(1, seconds=2, parts=parts, requests=5, capacity_steps=1, starts=1, turns=1000)
    programs = [BARE, GATEWAY, GATEWAY_WEB]
    if options.tls:
        targets = [in_tls(program) for program in programs]
    else:
        targets = [DIRECT, *programs, *(peers(ROOT) if options.peers else ())]
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        program = compile_load(work)
        certificate = make_certificate(work) if options.tls else None
        with Upstream(program, certificate) as upstream:
            benchmark = Benchmark(targets, plan, Load(program, work), upstream.port, work, _say)
            benchmark.run()
    print("\n" + report.table(benchmark.figures) + "\n")
    for met, goal in report.goals(benchmark.figures):
        print("met     " if met else "NOT MET ", goal)
    if options.plot:
        options.plot.write_text(report.plot(benchmark.figures))
    return {name: asdict(figures) for name, figures in benchmark.figures.items()}


def _translator(quick: bool) -> dict[str, Any]:
    results = translator.measure([10_000, 100_000, 1_000_000, 5_000_000], 5 if quick else 15)
    print("| request | parse, ms | translate, ms | serialise, ms | together, ms |\n| --- | ---: | ---: | ---: | ---: |")
    for times in results["requests"].values():
        steps = [1000 * times[step] for step in ("parse", "translate", "serialise")]
        cells = " | ".join(f"{step:.2f}" for step in (*steps, sum(steps)))
        print(f"| {times['bytes'] / 1000:,.0f} KB | {cells} |")
    print("\n| delta of | µs |\n| --- | ---: |")
    for kind, seconds in results["deltas"].items():
        print(f"| {kind} | {seconds * 1e6:.1f} |")
    return results


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    processor = next(names, platform.machine())
    return (
        f"{processor}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"mitmproxy {version('mitmproxy')}"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
