"""Measures prediction and training beside the peers: see bench/run."""
import ctypes, json, os, platform, subprocess, sys, time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")
import lightgbm as lgb
import numpy as np
import xgboost as xgb

import models

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "bench"
SECONDS = float(os.environ.get("SECONDS_EACH", "2"))
DATA = os.environ.get("DATA", str(ROOT.parent / "shared" / "data"))
FORESTS = os.environ.get("FORESTS", "100x31 500x63 2000x63 500x31 500x255").split()
WITHOUT = [p for p in os.environ.get("WITHOUT", "").split(",") if p]
COMPILED = int(os.environ.get("COMPILED", "40000"))
SETTINGS = [(1, 1), (100, 1), (20_000, 1), (100, 2), (20_000, 2)]  # rows, threads


def subject(*args):
    return subprocess.run([WORK / "subject", *map(str, args)], check=True, capture_output=True, text=True).stdout


def timed(call, rows, threads, seconds):
    """The least ns a row of several tries: CPU time for one thread, the clock's for two."""
    now = time.process_time if threads == 1 else time.perf_counter
    calls = max(1, 400 // rows)
    least, start, tries = 1e18, time.perf_counter(), 0
    while tries < 3 or time.perf_counter() - start < seconds:
        began = now()
        for i in range(calls):
            call(i)
        least, tries = min(least, now() - began), tries + 1
    return least / (calls * rows) * 1e9


class Subject:
    """One of our engines, in a process of its own."""

    def __init__(self, folder):
        self.process = subprocess.Popen([WORK / "subject", "predict", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.engines = self.process.stdout.readline().strip(" []\n").split()

    def measure(self, engine, rows, threads, seconds):
        self.process.stdin.write(f"{engine} {rows} {threads} {seconds}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


class XGBoost:
    """XGBoosterPredictFromDense of the C API."""

    def __init__(self, folder, forest):
        self.booster = xgb.Booster(model_file=str(folder / "xgboost.json"))
        self.call = xgb.core._LIB.XGBoosterPredictFromDense
        self.config = json.dumps({"type": 0, "training": False, "iteration_begin": 0, "iteration_end": 0, "strict_shape": False,
                                  "missing": float("nan"), "cache_id": 0}).encode()

    def calls(self, x, rows, threads):
        self.booster.set_param({"nthread": threads})
        descriptions = [json.dumps({"data": [x.ctypes.data + i * rows * x.strides[0], True], "shape": [rows, x.shape[1]], "typestr": "<f4",
                                    "version": 3}).encode() for i in range(len(x) // rows)]
        self.shape, self.dims, self.out = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64(), ctypes.POINTER(ctypes.c_float)()

        def call(i):
            if self.call(self.booster.handle, descriptions[i % len(descriptions)], self.config, None, ctypes.byref(self.shape),
                         ctypes.byref(self.dims), ctypes.byref(self.out)):
                raise RuntimeError(xgb.core._LIB.XGBGetLastError())
        return call

    def predict(self, x):
        self.calls(x, len(x), 2)(0)
        return np.ctypeslib.as_array(self.out, (len(x),)).astype(np.float64)


class LightGBM:
    """LGBM_BoosterPredictForMatSingleRowFast for one row, LGBM_BoosterPredictForMat for more, of the C API."""

    def __init__(self, folder, forest):
        self.booster = lgb.Booster(model_file=str(folder / "lightgbm.txt"))
        self.lib = lgb.basic._LIB

    def calls(self, x, rows, threads):
        self.out = np.zeros(rows)
        length, address = ctypes.c_int64(), x.ctypes.data
        self.kept = (x, length)
        parameters = f"num_threads={threads}".encode()
        if rows == 1:
            fast = ctypes.c_void_p()
            self.lib.LGBM_BoosterPredictForMatSingleRowFastInit(self.booster._handle, 0, 0, -1, 0, x.shape[1], parameters, ctypes.byref(fast))
            call_fast = self.lib.LGBM_BoosterPredictForMatSingleRowFast
            out = ctypes.c_void_p(self.out.ctypes.data)
            return lambda i: call_fast(fast, ctypes.c_void_p(address + i % len(x) * x.strides[0]), ctypes.byref(length), out)
        call_many, out, count = self.lib.LGBM_BoosterPredictForMat, ctypes.c_void_p(self.out.ctypes.data), len(x) // rows
        return lambda i: call_many(self.booster._handle, ctypes.c_void_p(address + i % count * rows * x.strides[0]), 0, ctypes.c_int32(rows),
                                   ctypes.c_int32(x.shape[1]), 1, 0, 0, -1, parameters, ctypes.byref(length), out)

    def predict(self, x):
        self.calls(x, len(x), 2)(0)
        return self.out


class Array:
    """A peer that is called with an array."""

    def calls(self, x, rows, threads):
        blocks = [self.prepare(np.ascontiguousarray(x[i:i + rows])) for i in range(0, min(len(x), 400 * rows), rows)]
        run = self.runner(threads)
        return lambda i: run(blocks[i % len(blocks)])

    def predict(self, x):
        return np.asarray(self.runner(2)(self.prepare(x))).reshape(-1).astype(np.float64)

    def prepare(self, x):
        return x


class ONNXRuntime(Array):
    def __init__(self, folder, forest):
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType
        path = folder / "model.onnx"
        if not path.exists():
            model = convert_lightgbm(lgb.Booster(model_file=str(folder / "lightgbm.txt")),
                                     initial_types=[("x", FloatTensorType([None, forest["columns"]]))], zipmap=False)
            path.write_bytes(model.SerializeToString())
        self.path = path

    def runner(self, threads):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        return lambda x: session.run(None, {"x": x})[0]


class Treelite(Array):
    """treelite's own interpreter (GTIL)."""

    def __init__(self, folder, forest):
        import treelite
        self.model = treelite.frontend.load_lightgbm_model(str(folder / "lightgbm.txt"))

    def runner(self, threads):
        from treelite import gtil
        return lambda x: gtil.predict(self.model, x, nthread=threads)


class TreeliteCompiled(Array):
    """treelite, compiled by TL2cgen and the C compiler of this machine."""

    def __init__(self, folder, forest):
        import tl2cgen, treelite
        path = folder / "treelite.so"
        if not path.exists():
            model = treelite.frontend.load_lightgbm_model(str(folder / "lightgbm.txt"))
            tl2cgen.export_lib(model, toolchain="gcc", libpath=str(path), params={"parallel_comp": 16}, nthread=2)
        self.path = path

    def prepare(self, x):
        import tl2cgen
        return tl2cgen.DMatrix(x.astype(np.float64))

    def runner(self, threads):
        import tl2cgen
        predictor = tl2cgen.Predictor(str(self.path), nthread=threads)
        return predictor.predict


class Lleaves(Array):
    """lleaves, compiled by LLVM."""

    def __init__(self, folder, forest):
        import lleaves
        self.model = lleaves.Model(str(folder / "lightgbm.txt"))
        self.model.compile(cache=str(folder / "lleaves.o"))

    def prepare(self, x):
        return x.astype(np.float64)

    def runner(self, threads):
        return lambda x: self.model.predict(x, n_jobs=threads)


PEERS = {"XGBoost": XGBoost, "LightGBM": LightGBM, "ONNX Runtime": ONNXRuntime, "treelite": Treelite,
         "TL2cgen": TreeliteCompiled, "lleaves": Lleaves}


def inference(say):
    say("## Prediction\n")
    say("µs a row; in brackets as a share of the fastest peer. One thread: CPU time; two: by the clock. The least of several tries.\n")
    for name in FORESTS:
        trees, leaves = map(int, name.split("x"))
        folder = WORK / f"forest-{name}"
        if not (folder / "rows.f32").exists():
            subject("forest", folder, trees, leaves)
        forest = models.read(folder / "forest.json")
        models.lightgbm(forest, folder / "lightgbm.txt")
        models.xgboost(forest, folder / "xgboost.json")
        x = np.fromfile(folder / "rows.f32", dtype=np.float32).reshape(-1, forest["columns"])
        ours = Subject(folder)
        expected = np.fromfile(folder / "expected.f64")
        peers = {}
        for peer, make in PEERS.items():
            if peer in WITHOUT or make in (TreeliteCompiled, Lleaves) and trees * leaves > COMPILED:
                print(f"{name}: {peer} is left out", file=sys.stderr)
                continue
            try:
                made = make(folder, forest)
                worst = np.max(np.abs(made.predict(x) - expected))
                if worst > 1e-3:
                    raise RuntimeError(f"predicts otherwise, by up to {worst}")
                peers[peer] = made
            except Exception as e:
                print(f"{name}: without {peer}: {e}", file=sys.stderr)
        times = {}
        for rows, threads in SETTINGS:
            for _ in range(2):  # each in turn, twice
                for engine in ours.engines:
                    key = ("housing, " + engine, rows, threads)
                    times[key] = min(times.get(key, 1e18), ours.measure(engine, rows, threads, SECONDS / 2))
                for peer, made in peers.items():
                    try:
                        took = timed(made.calls(x, rows, threads), rows, threads, SECONDS / 2)
                    except Exception as e:
                        print(f"{name}: {peer}, {rows} rows: {e}", file=sys.stderr)
                        continue
                    times[peer, rows, threads] = min(times.get((peer, rows, threads), 1e18), took)
        say(f"{trees} trees of {leaves} leaves:\n")
        say("| | " + " | ".join(f"{rows:,} row{'s' * (rows > 1)}, {'one thread' if threads == 1 else 'two threads'}" for rows, threads in SETTINGS) + " |")
        say("|---|" + "---|" * len(SETTINGS))
        for who in ["housing, " + e for e in ours.engines] + list(peers):
            cells = []
            for rows, threads in SETTINGS:
                took = times.get((who, rows, threads))
                fastest = min((times[p, rows, threads] for p in peers if (p, rows, threads) in times), default=float("nan"))
                cells.append("" if took is None else f"{took / 1000:.2f} ({took / fastest:.3f})" if who.startswith("housing") else f"{took / 1000:.2f}")
            say(f"| {who} | " + " | ".join(cells) + " |")
        say("")
        ours.process.stdin.close()


def training(say):
    say("## Training\n")
    say("Seconds by the clock and CPU seconds on two threads, with the time to cut values into 255 bins; root mean square error on rows that "
        "were not learned from. The least of two tries each, in turn. In brackets as a share of XGBoost.\n")
    say("| data | | seconds | CPU seconds | error |\n|---|---|---|---|---|")
    sets = [("king-county", DATA, 500, 31), ("million", "million", 50, 63)]
    if not Path(DATA, "king_county_sales.csv").exists():
        print(f"without the King County sales: there are none in {DATA}", file=sys.stderr)
        del sets[0]
    for name, source, rounds, leaves in sets:
        folder = WORK / name
        if not (folder / "test.f64").exists():
            subject("data", folder, source)
        y, test_y = np.fromfile(folder / "train.f64"), np.fromfile(folder / "test.f64")
        x = np.fromfile(folder / "train.f32", dtype=np.float32).reshape(len(y), -1)
        test_x = np.fromfile(folder / "test.f32", dtype=np.float32).reshape(len(test_y), -1)

        def of_xgboost():
            d = xgb.QuantileDMatrix(x, y, max_bin=255, nthread=2)
            return xgb.train(dict(tree_method="hist", grow_policy="lossguide", max_leaves=leaves, max_depth=0, eta=0.1, max_bin=255,
                                  reg_lambda=1, min_child_weight=1, nthread=2), d, rounds).inplace_predict

        def of_lightgbm():
            d = lgb.Dataset(x, y, params=dict(max_bin=255, verbose=-1, num_threads=2))
            return lgb.train(dict(objective="regression", num_leaves=leaves, learning_rate=0.1, max_bin=255, lambda_l2=1, verbose=-1,
                                  min_sum_hessian_in_leaf=1, min_data_in_leaf=1, num_threads=2), d, rounds).predict

        results = {}
        for _ in range(2):
            t = json.loads(subject("train", folder, rounds, leaves))
            keep(results, "housing", t["seconds"], t["cpu_seconds"], t["rmse"])
            for peer, learn in (("XGBoost hist", of_xgboost), ("LightGBM", of_lightgbm)):
                began, cpu = time.perf_counter(), time.process_time()
                predict = learn()
                took, cpu = time.perf_counter() - began, time.process_time() - cpu
                keep(results, peer, took, cpu, float(np.sqrt(np.mean((predict(test_x) - test_y) ** 2))))
        base = results["XGBoost hist"]
        for who, values in results.items():
            cells = [f"{v:.4g}" + (f" ({v / b:.3f})" if who == "housing" else "") for v, b in zip(values, base)]
            say(f"| {len(y):,} × {x.shape[1]}, {rounds} trees of {leaves} leaves | {who} | " + " | ".join(cells) + " |")


def keep(results, who, *values):
    results[who] = [min(a, b) for a, b in zip(values, results.get(who, values))]


def machine():
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    return f"{cpu}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.0f} at the start; xgboost {xgb.__version__}, lightgbm {lgb.__version__}"


def main():
    parts = sys.argv[1:] or ["inference", "training"]
    with open(WORK / "report.md", "w") as report:
        def say(line):
            print(line, flush=True)
            print(line, file=report, flush=True)
        say(f"Measured on: {machine()}.\n")
        for part in parts:
            {"inference": inference, "training": training}[part](say)


main()
