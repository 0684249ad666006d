"""Measures servers over HTTP beside the peers, how ours grows, and ours under too much load: see bench/run.

Needs nothing but Python itself. The peers run in virtual environments of their own, build/bench/venv-NAME; one that
cannot be made or does not serve is left out, with the reason on stderr.
"""
import json, os, platform, signal, socket, subprocess, sys, time, urllib.error, urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "bench"
SHARED = Path(os.environ.get("SHARED", ROOT.parent / "shared"))
SECONDS = float(os.environ.get("SECONDS_EACH", "2"))
WITHOUT = [p for p in os.environ.get("WITHOUT", "").split(",") if p]
RECORDS, CONNECTIONS = (1, 100), (1, 16, 64, 256)
HOUSE = {"bedrooms": 3, "bathrooms": 2.5, "sqft_living": 2220, "sqft_lot": 6380, "floors": 1.5, "sqft_above": 1660, "sqft_basement": 560,
         "zipcode": "98115", "waterfront": 0, "view": 0, "condition": 4, "grade": 8, "yr_built": 1931, "yr_renovated": 0,
         "lat": 47.6974, "long": -122.313, "sqft_living15": 950, "sqft_lot15": 6380}
HOUSES = lambda n: {"records": [HOUSE] * n}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server with its children, and what they use."""

    def __init__(self, name, command, path, body, environment=None, folder=None, patience=90):
        self.name, self.path, self.body, self.port = name, path, body, free_port()
        command = [str(c).replace("PORT", str(self.port)) for c in command]
        environment = {k: v.replace("PORT", str(self.port)) for k, v in (environment or {}).items()}
        log = open(WORK / f"{name.split()[0]}.log", "w")
        began = time.perf_counter()
        # Not in a session of its own, as the kernel shares the processors out between sessions first: the load would get as much as a whole server.
        self.process = subprocess.Popen(command, env=dict(os.environ, OMP_NUM_THREADS="1", **environment), cwd=folder, stdout=log, stderr=log)
        self.file(1)
        while True:
            try:
                self.ask(1)
                break
            except (OSError, ValueError) as e:
                if time.perf_counter() - began > patience or self.process.poll() is not None:
                    self.stop()
                    raise RuntimeError(f"it does not answer: {e}; see {log.name}")
                time.sleep(0.002)
        self.start = time.perf_counter() - began

    def ask(self, records):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{self.path}", self.file(records).read_bytes(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def file(self, records):
        file = WORK / f"{self.name.split()[0]}-{records}.json"
        if not file.exists() or file.stat().st_mtime < began_at:
            file.write_text(json.dumps(self.body(records)))
        return file

    def load(self, records, connections, seconds=SECONDS, **more):
        arguments = [f"-{k}={v}" for k, v in dict(connections=connections, seconds=seconds, **more).items()]
        out = subprocess.run([WORK / "load", f"-url=http://127.0.0.1:{self.port}{self.path}", f"-body={self.file(records)}", *arguments],
                             check=True, capture_output=True, text=True).stdout
        return json.loads(out)

    def processes(self):
        """The process with all that it started: of each the folder in /proc and the fields of stat behind its name."""
        found = {}
        for p in Path("/proc").iterdir():
            try:
                if p.name.isdigit():
                    found[int(p.name)] = (p, (p / "stat").read_text().rsplit(")", 1)[1].split())
            except OSError:
                continue
        own = {self.process.pid}
        while more := {n for n, (_, f) in found.items() if int(f[1]) in own and n not in own}:
            own |= more
        return [found[n] for n in own if n in found]

    def cpu(self):
        return sum(int(f[11]) + int(f[12]) for _, f in self.processes()) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """MiB that all its processes hold, pages that they share counted once."""
        kilobytes = 0
        for p, _ in self.processes():
            try:
                kilobytes += next(int(l.split()[1]) for l in (p / "smaps_rollup").read_text().splitlines() if l.startswith("Pss:"))
            except (OSError, StopIteration):
                continue
        return kilobytes / 1024

    def stop(self):
        own = [int(p.name) for p, _ in self.processes()]
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        for n in own:
            try:
                os.kill(n, signal.SIGKILL)  # what it has not ended itself
            except ProcessLookupError:
                pass
        self.process.wait()


def python(name):
    """The interpreter of a peer's virtual environment, which is made where it is not there."""
    folder = WORK / f"venv-{name}"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        made = subprocess.run([folder / "bin" / "pip", "install", "-q", "-r", ROOT / "bench" / "requirements" / f"{name}.txt"],
                              capture_output=True, text=True, timeout=600)
        if made.returncode:
            raise RuntimeError(f"pip: {made.stderr.strip().splitlines()[-1]}")
        (folder / "ready").touch()
    return folder / "bin" / "python"


def housing(**environment):
    return Server("housing", [ROOT / "dist" / "housing", "serve"], "/v1/predict", HOUSES, {"LISTEN": "127.0.0.1:PORT", "RATE_LIMIT": "off", **environment})


def forest():
    """XGBoost's 500 trees of depth 6, and a row of numbers for them."""
    folder = WORK / "xgboost-forest"
    if not (folder / "model.json").exists():
        subprocess.run([python("fastapi"), SHARED / "bench" / "fastapi_peer.py", "train", SHARED / "data" / "king_county_sales.csv",
                        SHARED / "data" / "zipcode_demographics.csv", folder], check=True, capture_output=True)
    return folder, [float(v) for v in open(folder / "rows.csv").readline().split(",")]


def fastapi():
    folder, _ = forest()
    return Server("FastAPI + XGBoost", [python("fastapi"), "-m", "uvicorn", "fastapi_peer:app", "--port", "PORT", "--workers", "2", "--no-access-log",
                  "--log-level", "warning"], "/v1/predict", HOUSES, {"PEER_DIR": str(folder), "PEER_DEMOGRAPHICS": str(SHARED / "data" / "zipcode_demographics.csv")},
                  SHARED / "bench")


def mlserver():
    folder, row = forest()
    served = WORK / "mlserver"
    served.mkdir(exist_ok=True)
    ports = [free_port() for _ in range(2)]
    (served / "model-settings.json").write_text(json.dumps({"name": "houses", "implementation": "mlserver_xgboost.XGBoostModel",
                                                            "parameters": {"uri": str(folder / "model.json")}}))
    return Server("MLServer", [python("mlserver"), "-c", "from mlserver.cli import main; main()", "start", "."], "/v2/models/houses/infer",
                  lambda n: {"inputs": [{"name": "x", "shape": [n, len(row)], "datatype": "FP32", "data": row * n}]},
                  {"MLSERVER_HTTP_PORT": "PORT", "MLSERVER_GRPC_PORT": str(ports[0]), "MLSERVER_METRICS_PORT": str(ports[1]), "MLSERVER_DEBUG": "false",
                   "MLSERVER_HOST": "127.0.0.1", "MLSERVER_PARALLEL_WORKERS": "2"}, served)


def bentoml():
    folder, row = forest()
    served = WORK / "bentoml"
    served.mkdir(exist_ok=True)
    (served / "service.py").write_text(f"""import bentoml, numpy, xgboost

@bentoml.service(workers=2)
class Houses:
    def __init__(self):
        self.booster = xgboost.Booster(model_file={str(folder / "model.json")!r})
        self.booster.set_param({{"nthread": 1}})

    @bentoml.api
    def predict(self, x: list) -> list:
        return self.booster.inplace_predict(numpy.asarray(x, numpy.float32)).tolist()
""")
    return Server("BentoML", [python("bentoml"), "-m", "bentoml", "serve", "service:Houses", "--host", "127.0.0.1", "--port", "PORT"], "/predict",
                  lambda n: {"x": [row] * n}, {"BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(served / "home")}, served)


def mlflow():
    folder, row = forest()
    served, interpreter = WORK / "mlflow", python("mlflow")
    if not (served / "MLmodel").exists():
        subprocess.run([interpreter, "-c", f"import mlflow.xgboost, xgboost; mlflow.xgboost.save_model(xgboost.Booster(model_file={str(folder / 'model.json')!r}), {str(served)!r})"],
                       check=True, capture_output=True)
    path = f"{interpreter.parent}:{os.environ['PATH']}"
    return Server("MLflow", [interpreter, "-m", "mlflow", "models", "serve", "-m", served, "--env-manager", "local", "--host", "127.0.0.1", "--port", "PORT",
                  "--workers", "2"], "/invocations", lambda n: {"inputs": [row] * n}, {"PATH": path}, WORK)


PEERS = {"FastAPI + XGBoost": fastapi, "MLServer": mlserver, "BentoML": bentoml, "MLflow": mlflow}


def http(say):
    """Ours beside the peers."""
    servers = [housing()]
    try:
        for name, start in PEERS.items():
            if name in WITHOUT:
                print(f"{name} is left out", file=sys.stderr)
                continue
            try:
                servers.append(start())
            except Exception as e:
                print(f"without {name}: {getattr(e, 'stderr', None) or e}", file=sys.stderr)
        rates, used = {}, {}
        say("## HTTP\n")
        say("Each server by turns, over connections that send their next request as soon as they have an answer, on the same processors. Ours values "
            "with its built-in model of 2,000 trees and a network, and checks and joins; the peers predict with 500 trees of depth 6, "
            "in two processes; FastAPI joins and hardly checks, the other three are sent rows of numbers ready-made.\n")
        say("10,000 requests of one record over 16 connections (where they took over a minute, as many as that and counted up), the first after the start:\n")
        say("| | CPU seconds | MiB | seconds from the start to the first answer |\n|---|---|---|---|")
        for s in servers:
            before = s.cpu()
            r = s.load(1, 16, 60, requests=10_000)
            used[s.name] = {"cpu": (s.cpu() - before) * 10_000 / max(r["answered"], 1), "memory": s.memory(), "start": s.start}
            say(f"| {s.name} | {used[s.name]['cpu']:.2f} | {used[s.name]['memory']:.1f} | {s.start:.2f} |")
        say("\nMemory counts pages that processes share once.\n")
        for records in RECORDS:
            say(f"{records} record{'s' * (records > 1)} a request: requests a second, p50 and p99 in ms.\n")
            say("| connections | " + " | ".join(s.name for s in servers) + " |\n|---|" + "---|" * len(servers))
            for connections in CONNECTIONS:
                cells = []
                for s in servers:
                    r = s.load(records, connections)
                    rates[s.name, records, connections] = r
                    first = rates["housing", records, connections]["rate"]
                    ratio = "" if s is servers[0] else f" (ours × {first / r['rate']:.1f})" if r["rate"] else ""
                    failed = f", {r['failed'] + r['refused']} failed" if r["failed"] + r["refused"] else ""
                    cells.append(f"{r['rate']:,.0f}{ratio}, {r['p50_ms']:.2f}, {r['p99_ms']:.2f}{failed}")
                say(f"| {connections} | " + " | ".join(cells) + " |")
            say("")
        (WORK / "http.json").write_text(json.dumps({"rates": [{"server": n, "records": a, "connections": c, **r} for (n, a, c), r in rates.items()], "used": used}))
    finally:
        for s in servers:
            s.stop()


def growth(say):
    """How ours grows with trees, rows and connections."""
    say("## Growth\n")
    say("A service each, after 2,000 requests. The built-in model has 2,000 trees of 31 leaves and a network, the others trees alone.\n")
    say("| model | records | connections | MiB | requests a second | p50 ms | p99 ms | CPU µs a record |\n|---|---|---|---|---|---|---|---|")
    settings = [({}, "built-in", n, 16) for n in (1, 10, 100, 1000)] + [({}, "built-in", 1, n) for n in (1, 64, 256, 1024)]
    for trees in (250, 1000):  # alone, without a network
        folder = WORK / f"trees-{trees}"
        if not (folder / "bundle").exists():
            made = subprocess.run([ROOT / "dist" / "housing", "train", "--version", f"trees-{trees}", "--rounds", str(trees), "--smooth-share", "0", "--folds", "2", "--out", folder, "--sales",
                                   SHARED / "data" / "king_county_sales.csv", "--demographics", SHARED / "data" / "zipcode_demographics.csv"], capture_output=True, text=True, timeout=300)
            if made.returncode:
                print(f"without a model of {trees} trees: {made.stderr.strip()[-300:]}", file=sys.stderr)
                continue
        registry = WORK / f"registry-{trees}"
        registry.mkdir(exist_ok=True)
        subprocess.run([ROOT / "dist" / "housing", "model", "push", folder / "bundle"], check=True, capture_output=True, env=dict(os.environ, MODEL_DIR=str(registry)))
        settings.append(({"MODEL_DIR": str(registry), "DEFAULT_MODEL_VERSION": f"trees-{trees}"}, f"{trees:,} trees", 1, 16))
    for environment, trees, records, connections in settings:
        s = housing(**environment)
        try:
            before = s.cpu()
            r = s.load(records, connections, 10, requests=2000)
            say(f"| {trees} | {records:,} | {connections:,} | {s.memory():.1f} | {r['rate']:,.0f} | {r['p50_ms']:.2f} | {r['p99_ms']:.2f} | "
                f"{(s.cpu() - before) / max(r['answered'] * records, 1) * 1e6:.1f} |")
        finally:
            s.stop()
    say("")


def overload(say):
    """Ours at twice the load that it takes, and at a steady thousand requests a second."""
    s = housing()
    try:
        say("## Overload\n")
        say("Requests that are due at fixed times, twice as many as the closed loop of 16 connections had answered just before. Times run from when a "
            "request was due, and in brackets from when it was sent: a request for which none of the 1,024 connections is free waits at its client.\n")
        say("| records | due a second | answered a second | p50 ms | p99 ms | refused a second | p99 ms of refusals |\n|---|---|---|---|---|---|---|")
        for records in (1, 100, 1000):
            rate = 2 * s.load(records, 16)["rate"]
            s.load(records, 1024, 1, rate=rate)  # its onset
            r = s.load(records, 1024, 5 * SECONDS, rate=rate)
            say(f"| {records:,} | {rate:,.0f} | {r['rate']:,.0f} | {r['p50_ms']:.1f} | {r['p99_ms']:.1f} ({r['sent_p99_ms']:.1f}) | "
                f"{r['refused'] / r['seconds']:,.0f} | {r['refused_p99_ms']:.1f} |")
            time.sleep(1)
        before = s.cpu()
        r = s.load(1, 64, 5 * SECONDS, rate=1000)
        say(f"\nA steady 1,000 requests a second of one record: p50 {r['p50_ms']:.2f} ms, p99 {r['p99_ms']:.2f} ms, "
            f"{(s.cpu() - before) / r['seconds']:.0%} of one processor, {r['refused'] + r['failed']} not answered.\n")
    finally:
        s.stop()


def machine():
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    return f"{cpu}, {os.cpu_count()} processors, load {load_at_start:.0f} at the start"


began_at, load_at_start = time.time(), os.getloadavg()[0]
if __name__ == "__main__":
    WORK.mkdir(parents=True, exist_ok=True)
    for part in sys.argv[1:] or ["http", "growth", "overload"]:
        with open(WORK / f"{part}.md", "w") as report:
            def say(line):
                print(line, flush=True)
                print(line, file=report, flush=True)
            {"http": http, "growth": growth, "overload": overload}[part](say)
            say(f"Measured on: {machine()}; at the end {os.getloadavg()[0]:.0f}.\n")
