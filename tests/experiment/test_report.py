"""The report: what it says is what the folders hold, nothing in them can act in the page, and it works in a browser."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import itertools
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from support.browser import Page, chromium

import netac
from netac import cli, topology
from netac.experiment.report import page, tables
from netac.experiment.report.agents import disagreements, last_checkpoint, on_graphs
from netac.experiment.report.graphs import counted, stretches
from netac.experiment.report.lines import charts, read_diagnostics
from netac.experiment.report.reading import read_folders
from netac.experiment.report.writing import write_report
from netac.results.comparison import RUNS, SeedResult, compare_results
from netac.results.records import EXPERIMENT, METRICS, SUMMARY, load_run
from netac.results.statistics import iqm
from netac.results.tables import csv_text, read_metrics, read_rows

EXPERIMENT_TABLES = {"agents": 4, "iterations": 60, "log_every": 10, "env": "coordination",
                     "topology": {"name": "gossip", "probability": 0.6}, "algorithm": "cac"}
SEEDS = 3
PACKAGES = pytest.mark.skipif(any(importlib.util.find_spec(name) is None for name in page.PACKAGES),
                              reason="needs netac[report]")
EVIL = "</script></pre><script>window.pwned=1</script><img src=x onerror=window.pwned=1>\"'&amp;"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A comparison of two algorithms over three seeds, one single run over another topology, and one with diagnostics.
    """
    here = tmp_path_factory.mktemp("report")
    compared = here / "compared"
    for name in ("cac", "iac"):
        for seed in range(SEEDS):
            netac.run(EXPERIMENT_TABLES | {"algorithm": name, "seed": seed},
                      out=compared / RUNS / name / f"seed-{seed:03}")
    records = [load_run(file.parent) for file in sorted(compared.glob(f"{RUNS}/*/*/{SUMMARY}"))]
    failed = SeedResult("iac", 9, "failed", error=f"it fell over {EVIL}")
    compare_results([*map(SeedResult.from_record, records), failed]).write(compared)
    netac.run(EXPERIMENT_TABLES | {"topology": "ring", "agents": 3}, out=here / "single")
    shutil.copytree(here / "single", here / "reports")
    (here / "reports" / "diagnostics.csv").write_text(csv_text(("iteration", "env_steps", "agent", "kl", "tv_max"), [
        {"iteration": t, "env_steps": t, "agent": agent,
         **({"kl": 0.1 * agent + t} if agent != "all" else {"tv_max": 1})}
        for t in (10, 20, 30) for agent in (0, 1, 2, "all")]))
    return {"compared": compared, "single": here / "single", "reports": here / "reports"}


def hostile(folder: Path, into: Path) -> Path:
    """A copy of a run whose every text is one that would act in a page that does not escape it."""
    shutil.copytree(folder, into)
    summary = json.loads((into / SUMMARY).read_text())
    (into / SUMMARY).write_text(json.dumps(summary | {"env": EVIL, "algorithm": EVIL, "versions": {EVIL: EVIL}}))
    rows = read_rows(into / METRICS)
    (into / METRICS).write_text(csv_text([*rows[0], EVIL], [row | {EVIL: "1"} for row in rows]))
    experiment = tomllib.loads((into / EXPERIMENT).read_text())
    (into / EXPERIMENT).write_text(tomli_w.dumps(experiment | {EVIL: EVIL}))
    return into


@pytest.fixture(scope="module")
def written(folders, tmp_path_factory) -> Path:
    """The page of all folders, and of a hostile one."""
    pytest.importorskip("plotly", reason="needs netac[report]")
    here = tmp_path_factory.mktemp("page")
    evil = hostile(folders["single"], here / "<script>window.pwned=2<script>")
    write_report([folders["reports"], folders["compared"], evil], here / "report.html")
    return here / "report.html"


# what the page is made of


@pytest.mark.parametrize("name", ["gossip", "periodic-complete", "ring", "one-peer-exponential", "exponential"])
@settings(max_examples=8)
@given(agents=st.integers(1, 7), ends=st.sets(st.integers(1, 40), min_size=1, max_size=5))
def test_links_are_counted_as_a_loop_over_iterations_counts_them(name, agents, ends):
    loaded, edges = topology.load(name, agents), np.array([0, *sorted(ends)])
    found = counted(loaded, edges)
    links = {(int(i), int(j)): k for k, (i, j) in enumerate(zip(found.hearer, found.heard, strict=True))}
    loop = np.zeros_like(found.messages)
    for k, (start, end) in enumerate(itertools.pairwise(edges)):
        for t in range(start, end):
            W = loaded.matrix(t).toarray()
            for i, j in zip(*np.nonzero(W), strict=True):
                if i != j:
                    loop[k, links[int(i), int(j)]] += 1
    assert np.array_equal(found.messages, loop) and found.looked_at.tolist() == np.diff(edges).tolist()
    pairs, messages, directed = found.pairs()
    assert messages.sum() == loop.sum()
    for (a, b), column in zip(pairs, messages.T, strict=True):
        both = loop[:, links[b, a]] + (0 if directed else loop[:, links[a, b]])
        assert np.array_equal(column, both)


def test_of_long_runs_over_graphs_without_a_period_a_part_is_counted_and_said():
    found = counted(topology.load({"name": "gossip", "probability": 0.5}, 4), np.array([0, 50, 100]), looks=20)
    assert found.looked_at.tolist() == [10, 10]
    assert 0.3 < found.messages.sum() / (12 * 100) < 0.7


def test_single_runs_are_shown_by_environment(folders, tmp_path):
    evil = hostile(folders["single"], tmp_path / "evil")
    assert [exhibit.title for exhibit in read_folders([evil, folders["single"], evil])] == [
        f"Runs on {EVIL}", "Runs on coordination"]


@PACKAGES
def test_a_comparison_of_which_all_failed_has_a_page(tmp_path):
    (tmp_path / "failed").mkdir()
    compare_results([SeedResult("cac", seed, "failed", error="it fell over") for seed in (0, 1)]).write(
        tmp_path / "failed")
    write_report([tmp_path / "failed"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "Comparison in" in text and "it fell over" in text and "0 finished runs" in text


def test_a_run_that_logged_nothing_is_no_failure(folders, tmp_path):
    shutil.copytree(folders["single"], tmp_path / "run")
    head = (tmp_path / "run" / METRICS).read_text().partition("\n")[0]
    (tmp_path / "run" / METRICS).write_text(f"{head}\n")
    (run,), _ = on_graphs(exhibits := read_folders([tmp_path / "run"]), trust=False)
    assert run["why"] == "The run has logged no iterations." and charts(exhibits)[0]["columns"] == []
    assert tables.traffic(exhibits[0]).rows


def test_too_many_links_are_not_counted():
    assert counted(topology.load("complete", 80), np.array([0, 1])) is None


@pytest.mark.parametrize(("logged", "most", "expected"), [
    ([0, 10, 20, 30], 40, [0, 10, 20, 30]), ([10, 20, 30, 40], 2, [0, 20, 40]), ([0], 40, [0]), ([0, 7], 40, [0, 7])])
def test_stretches_begin_and_end_with_logged_rows(logged, most, expected):
    assert stretches(np.array(logged), most).tolist() == expected


def test_the_bytes_of_all_links_are_those_that_metrics_tell(folders):
    exhibits = read_folders([folders["compared"], folders["single"]])
    runs, topologies = on_graphs(exhibits, trust=False)
    assert len(topologies.drawn) == 2                    # CAC and IAC over one topology, logged alike
    for run, setup in zip(runs, (setup for exhibit in exhibits for setup in exhibit.setups), strict=True):
        metrics, agents = setup.first.metrics, setup.first.summary["agents"]
        whole = run["views"][0]
        assert sum(whole["bytes"]) == pytest.approx(agents * metrics["bytes_consensus"][-1], rel=1e-5)
        assert whole["consensus_error"][-1] == pytest.approx(metrics["consensus_error"][-1], rel=1e-5)
        rewards = metrics["reward"][np.isfinite(metrics["reward"])]
        assert whole["reward"] == pytest.approx(rewards, rel=1e-5)       # every stretch is one row here
        frames = topologies.drawn[run["topology"]]["views"][0]["frames"]
        assert [frame["to"] for frame in frames] == [10, 20, 30, 40, 50, 60]


def test_the_mean_of_agents_disagreement_is_the_consensus_error(folders):
    for folder in (folders["single"], folders["compared"] / RUNS / "cac" / "seed-001"):
        record = load_run(folder)
        kept, missing = last_checkpoint(record)
        assert kept is not None and not missing
        values, parts = disagreements(kept, record)
        assert values.shape == (record.summary["agents"],) and {"omega", "lambda"} <= set(parts)
        assert values.mean() == pytest.approx(sum(record.metrics[f"consensus_error_{part}"][-1] for part in parts))


def test_a_folder_without_checkpoints_says_so(folders, tmp_path):
    shutil.copytree(folders["single"], tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    (run,), _ = on_graphs(read_folders([tmp_path / "run"]), trust=False)
    assert [each["label"] for each in run["colours"] if each["kind"] == "none"] == [
        "each agent's disagreement: the folder holds no checkpoint"]


def test_diagnostics_by_agent_and_of_all(folders):
    found = read_diagnostics(load_run(folders["reports"]))
    assert set(found) == {"iteration", "env_steps", "kl", "tv_max (all agents)"}
    assert found["kl"].tolist() == [[t, t + 0.1, t + 0.2] for t in (10, 20, 30)]
    assert found["iteration"].tolist() == [[10], [20], [30]] and found["tv_max (all agents)"].tolist() == [[1.0]] * 3
    assert read_diagnostics(load_run(folders["single"])) == {}
    curves, diagnostics = charts(read_folders([folders["reports"]]))
    assert curves["what"] == "Learning curves" and [each["name"] for each in diagnostics["columns"]] == [
        "kl", "tv_max (all agents)"]


def test_runs_are_put_together_by_what_they_are_runs_of(folders, tmp_path):
    netac.run(EXPERIMENT_TABLES | {"topology": "star", "agents": 3, "iterations": 10}, out=tmp_path / "star")
    netac.run(EXPERIMENT_TABLES | {"topology": "ring", "agents": 3, "iterations": 10}, out=tmp_path / "ring")
    twice = [folders["single"], folders["single"], folders["reports"]]
    single, = read_folders(twice)
    assert len(single.setups) == 2 and [setup.seeds for setup in single.setups] == [(0,), (0,)]    # not two seeds
    compared, others = read_folders([tmp_path / "star", folders["compared"], tmp_path / "ring",
                                     folders["compared"] / RUNS / "cac" / "seed-000"])
    assert [(setup.label, setup.seeds) for setup in compared.setups] == [("cac", (0, 1, 2)), ("iac", (0, 1, 2))]
    assert [setup.label for setup in others.setups] == ["cac, topology=star", "cac, topology=ring"]


def test_columns_of_a_table_are_read_whatever_they_are():
    rows = [{"algorithm": "cac", "topology": "ring", "x": "1.5", "x_low": "1", "x_high": "2", "y_low": "3", "z": ""},
            {"algorithm": "dac", "topology": "star", "x": "", "x_low": "", "x_high": "", "y_low": "4", "z": ""}]
    sheet = tables.of_file("", rows)
    assert sheet.columns == ("algorithm", "topology", "x", "y low")
    assert [cell.text for cell in sheet.rows[0]] == ["cac", "ring", "1.5 [1, 2]", "3"]
    assert sheet.rows[0][2].exact == ("1.5", "1", "2") and sheet.rows[1][2].text == ""


@pytest.mark.parametrize(("text", "expected"), [
    ("3000", "3,000"), ("16.163999999999996", "16.164"), ("952800.0", "952,800"), ("1.23456789e-05", "1.2346e-05"),
    ("nan", "nan"), ("", ""), ("true", "true"), ("1_0", "1_0"), ("a" * 64, "aaaaaaaaaa…"), ("-2.0", "-2")])
def test_numbers_as_they_are_read(text, expected):
    assert tables.shown(text) == expected


# bad input


@pytest.mark.parametrize(("arguments", "named"), [
    (["missing"], "is not a folder"), (["empty"], "is not the folder of a run"), (["stopped"], "has not finished"),
    (["single", "--out", "page.pdf"], "should be a .html file"),
    (["single", "--out", "nowhere/a.html"], "does not exist"),
    (["single", "damaged"], "line 3"), (["other"], "env_steps: has columns missing"),
    ([], "FOLDER"), (["nothing"], "holds no finished runs")])
@PACKAGES
def test_bad_input_is_told_and_nothing_is_written(folders, tmp_path, monkeypatch, arguments, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing" / RUNS).mkdir(parents=True)
    for name in ("single", "stopped", "damaged", "other"):
        shutil.copytree(folders["single"], tmp_path / name)
    (tmp_path / "stopped" / SUMMARY).unlink()
    (tmp_path / "damaged" / METRICS).write_text("iteration,reward\n0,1\n1,what\n")
    (tmp_path / "other" / METRICS).write_text("iteration,reward\n0,1\n1,2\n")
    before = sorted(tmp_path.rglob("*"))
    found = CliRunner().invoke(cli.cli, ["report", *arguments])
    if arguments:
        assert isinstance(found.exception, netac.InputError) and named in str(found.exception)
    else:
        assert found.exit_code == 2 and named in found.output
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("missing", "named"), [(page.PACKAGES, "plotly and jinja2"), (("plotly",), "plotly")])
def test_a_missing_package_is_told_before_anything_is_read(tmp_path, monkeypatch, missing, named):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in missing else find(name, *more))
    with pytest.raises(netac.InputError, match=rf'needs {named}, not installed .*pip install "netac\[report\]"'):
        write_report([tmp_path / "missing"], tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


# strangers' folders


@pytest.mark.parametrize("spec", [{"path": "evil.py"}, {"name": "alternating", "of": ["ring", "evil.py"]}])
def test_code_that_a_folder_names_is_not_run_unasked(folders, tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folders["single"], tmp_path / "run")
    (tmp_path / "evil.py").write_text("from pathlib import Path\nimport networkx as nx\nPath('mark').touch()\n"
                                      "def graph(t, n):\n    return nx.cycle_graph(n)\n")
    held = tomllib.loads((tmp_path / "run" / EXPERIMENT).read_text()) | {"topology": spec}
    (tmp_path / "run" / EXPERIMENT).write_text(tomli_w.dumps(held))
    (run,), _ = on_graphs(read_folders([tmp_path / "run"]), trust=False)
    assert run["topology"] is None and "netac report --trust runs it" in run["why"] and "evil.py" in run["why"]
    assert not (tmp_path / "mark").exists()
    (run,), topologies = on_graphs(read_folders([tmp_path / "run"]), trust=True)
    assert (tmp_path / "mark").exists() and run["topology"] == 0 and len(topologies.certified) == 1


def test_environments_code_is_not_run_for_its_graph(folders, tmp_path):
    shutil.copytree(folders["single"], tmp_path / "run")
    held = tomllib.loads((tmp_path / "run" / EXPERIMENT).read_text())
    held |= {"topology": "environment",
             "env": {"factory": "os:system", "kwargs": {"command": f"touch {tmp_path}/mark"}}}
    (tmp_path / "run" / EXPERIMENT).write_text(tomli_w.dumps(held))
    (run,), _ = on_graphs(read_folders([tmp_path / "run"]), trust=False)
    assert run["topology"] is None and "netac report --trust runs it" in run["why"]
    assert not (tmp_path / "mark").exists()


def test_texts_of_folders_stay_texts(written):
    """As a parser of HTML sees it: three blocks of the page's own, whose digests its policy names, and no more."""
    text = written.read_text()
    parsed = Page.of(text)
    scripts = parsed.named("script")
    assert [script.attributes for script in scripts] == [{"type": "application/json", "id": "data"}, {}, {}]
    policy = next(meta.attributes["content"] for meta in parsed.named("meta")
                  if meta.attributes.get("http-equiv") == "Content-Security-Policy")
    digests = [base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode() for script in scripts[1:]]
    assert f"script-src 'sha256-{digests[0]}' 'sha256-{digests[1]}';" in policy and "default-src 'none'" in policy
    assert not [key for element in parsed.elements for key in element.attributes if key.startswith("on")]
    assert not parsed.named("img") and not [link for link in parsed.named("a") if link.attributes["href"][:1] != "#"]
    assert {link.attributes["href"] for link in parsed.named("link")} == {"data:,"}
    assert EVIL in "".join(element.text for element in parsed.elements)       # shown as it is
    json.loads(scripts[0].text)


def test_tables_hold_every_cell_of_the_files(written, folders):
    parsed = Page.of(written.read_text())
    shown = {element.attributes.get("data-exact"): element.text for element in parsed.named("td") + parsed.named("th")}
    with (folders["compared"] / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert all(cell in shown for cell in row.values() if cell)
        together = " ".join(row[f"final_reward{end}"] for end in ("", "_low", "_high"))
        numbers = [float(part.strip("[],")) for part in shown[together].split()]
        assert numbers == pytest.approx([*map(float, together.split())], rel=1e-4)
    assert f"it fell over {EVIL}" in shown


def test_equal_folders_make_equal_pages(written, folders, tmp_path):
    for name in ("one", "two"):
        write_report([folders["compared"]], tmp_path / f"{name}.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert 1e6 < written.stat().st_size < 12e6


# in a browser


@pytest.fixture(scope="module")
def browser(written):
    with chromium() as opened:
        opened.get(written.as_uri())
        yield opened


def texts(browser, selector: str) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(each => each.textContent)", selector)


def choose(browser, selector: str, value: str) -> None:
    """Set an input as a user does."""
    browser.execute_script("const each = document.querySelector(arguments[0]); each.value = arguments[1];"
                           "each.dispatchEvent(new Event('input')); each.dispatchEvent(new Event('change'));",
                           selector, value)


def test_the_page_opens_without_errors_and_nothing_in_it_acts(browser):
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert browser.execute_script("return window.pwned === undefined && document.querySelectorAll('img').length === 0")
    assert all(browser.execute_script("return [...document.querySelectorAll('[role=img]')].map(each => "
                                      "each.getAttribute('aria-label') || '')"))


def test_names_of_columns_and_lines_are_drawn_as_they_are(browser):
    """Plotly reads some HTML in its texts."""
    names = browser.execute_script(
        "return [...document.querySelector('#curves-2 select').options].map(each => each.text)")
    assert EVIL in names
    choose(browser, "#curves-2 .controls select", str(names.index(EVIL)))
    title = browser.execute_script("return document.querySelector('#curves-2 .ytitle').textContent")
    assert title == EVIL.replace("&amp;", "&") or title == EVIL
    assert browser.execute_script("return window.pwned === undefined && "
                                  "document.querySelectorAll('.picture a[href], .picture img').length === 0")


def test_lines_and_intervals_are_switched_on_and_off(browser):
    drawn = "return document.querySelector('#curves-0 .picture').data.map(each => [each.name, each.line.width])"
    assert [name for name, width in browser.execute_script(drawn) if width] == ["cac", "iac"]
    assert len(browser.execute_script(drawn)) == 6                    # two lines with two bounds each
    boxes = browser.find_elements("css selector", "#curves-0 .legend input")
    boxes[0].click()
    assert [name for name, width in browser.execute_script(drawn) if width] == ["iac"]
    assert texts(browser, "#curves-0 .alternative tbody th") == ["iac"]
    boxes[0].click()
    browser.find_element("css selector", "#curves-0 .controls input").click()
    assert len(browser.execute_script(drawn)) == 2
    browser.find_element("css selector", "#curves-0 .controls input").click()


def test_numbers_of_the_curves_are_those_of_the_files(browser, folders):
    name = "consensus_error"
    columns = browser.execute_script("return JSON.parse(document.getElementById('data').textContent).charts[0].columns")
    choose(browser, "#curves-0 .controls select", str([column["name"] for column in columns].index(name)))
    shown = texts(browser, "#curves-0 .alternative tbody tr:first-child td")
    runs = [read_metrics(folders["compared"] / RUNS / "cac" / f"seed-{seed:03}" / METRICS) for seed in range(SEEDS)]
    values = np.array([run[name] for run in runs])
    assert shown[0] == str(SEEDS) and shown[3] == "60"
    assert float(shown[2]) == pytest.approx(iqm(values[:, 0]), rel=1e-4)
    assert float(shown[4].partition(" [")[0]) == pytest.approx(iqm(values[:, -1]), rel=1e-4)
    drawn = browser.execute_script(
        "return document.querySelector('#curves-0 .picture').data.find(each => each.name === 'cac').y")
    assert len(drawn) == values.shape[1]


def test_the_slider_moves_the_graph(browser):
    """Over gossip every iteration has another graph; wide edges are those that carried more."""
    def drawn() -> tuple[list, str]:
        return browser.execute_script(
            "return [...document.querySelectorAll('.network line')].map(each => [+each.dataset.bytes, "
            "+each.getAttribute('stroke-width')])"), texts(browser, "#viewer .caption")[0]

    choose(browser, "#viewer .controls label:nth-child(2) select", "1")          # iteration by iteration
    found = []
    for at in range(6):
        choose(browser, "#when", str(at))
        lines, caption = drawn()
        assert caption.startswith(f"iteration {at}: {len(lines)} links among 4 agents")
        found.append(lines)
    assert len({len(lines) for lines in found}) > 1
    choose(browser, "#viewer .controls label:nth-child(2) select", "0")
    lines, caption = drawn()
    assert caption.startswith("iterations 0 to 9: ") and len({width for _, width in lines}) > 1
    assert sorted(lines) == sorted(lines, key=lambda line: (line[1], line[0]))
    fills = browser.execute_script(
        "return [...document.querySelectorAll('.agent')].map(each => each.getAttribute('fill'))")
    assert len(set(fills)) == 4                                                   # coloured by disagreement


def test_the_page_fits_a_phone(browser):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True})
    browser.refresh()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    assert browser.execute_script("return document.querySelector('.picture svg').getBoundingClientRect().width") <= 360
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_prints(browser):
    browser.refresh()
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF") and len(printed) > 20_000
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
