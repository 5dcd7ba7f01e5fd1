"""The benchmark's own words: what it calls reached, not measured, and at its limit.

No server is started here; samples are made up.
"""
import pathlib
import sys
import xml.etree.ElementTree

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))
import bench as command  # noqa: E402
import report  # noqa: E402
from harness import Bench, CannotRun, Failed, Goal, Row, Sample, Side  # noqa: E402

MACHINE = {"date": "2026-11-23T00:00:00Z", "cores": 2, "file_system": "ext4", "rounds": 3}


def rate(value, **rest):
    return Sample(value, "jobs/s", **rest)


def gives(*samples):
    """A measure that has these samples, one a round; an exception is raised."""
    left = list(samples)

    def measure(_bench, _folder):
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return one
    return measure


def result_of(tmp_path, row, rounds=1):
    bench = Bench(tmp_path, str(tmp_path), "short", 1.0)
    samples, _ = command.run(bench, [row], (rounds, rounds), 1e9)
    return report.summarize([row], samples, MACHINE)


@pytest.mark.parametrize("ours, bound, reached", [
    (95, {"at_least": 0.95}, True), (94.9, {"at_least": 0.95}, False),
    (150, {"at_most": 1.5}, True), (150.1, {"at_most": 1.5}, False)])
def test_a_goal_is_reached_at_its_bound_and_missed_beyond_it(tmp_path, ours, bound, reached):
    row = Row("r", "work", [Side("a", gives(rate(ours))), Side("b", gives(rate(100)))],
              [Goal("a", "b", **bound)])
    assert result_of(tmp_path, row)["rows"][0]["goals"][0]["reached"] is reached


def test_a_goal_without_a_peer_holds_the_figure_itself(tmp_path):
    row = Row("r", "work", [Side("a", gives(rate(0)))], [Goal("a", at_most=2)])
    goal = result_of(tmp_path, row)["rows"][0]["goals"][0]
    assert goal["reached"] is True and goal["value"]["median"] == 0


def test_ratios_are_taken_within_a_round_and_their_median_counts(tmp_path):
    row = Row("r", "work", [Side("a", gives(rate(10), rate(40), rate(300))),
                            Side("b", gives(rate(10), rate(10), rate(100)))],
              [Goal("a", "b", at_least=3)])
    value = result_of(tmp_path, row, 3)["rows"][0]["goals"][0]["value"]
    assert (value["min"], value["median"], value["max"]) == (1, 3, 4)


@pytest.mark.parametrize("reason, said", [
    (CannotRun("there is no such peer"), "not measured: there is no such peer"),
    (Failed("7 answers were wrong"), "not measured: FAILED: 7 answers were wrong"),
    (KeyError("rate"), "not measured: FAILED: KeyError: 'rate'")])
def test_a_side_that_cannot_be_measured_says_why_and_leaves_the_others(tmp_path, reason, said):
    row = Row("r", "work", [Side("a", gives(rate(7), rate(7))), Side("b", gives(reason))],
              [Goal("a", "b", at_least=1)])
    result = result_of(tmp_path, row, 2)
    text = "\n".join(report.lines(result))
    assert said in text and "a / b: not measured" in text
    assert result["rows"][0]["sides"][0]["samples"] == [7, 7]


def test_a_side_that_fails_later_keeps_its_figures_and_says_so(tmp_path):
    row = Row("r", "work", [Side("a", gives(rate(7), Failed("it hung")))])
    text = "\n".join(report.lines(result_of(tmp_path, row, 2)))
    assert "7 jobs/s" in text and "then no more: FAILED: it hung" in text


def test_a_peer_that_may_not_be_installed_says_how_to(tmp_path, monkeypatch):
    monkeypatch.setattr(command.os, "getuid", lambda: 1000)
    row = Row("r", "work", [Side("a", gives(rate(7))),
                            Side("b", gives(rate(7)), packages=("no-such-peer",))])
    command.install([row], tmp_path / "log")
    text = "\n".join(report.lines(result_of(tmp_path, row)))
    assert "not measured: not installed: apt-get install no-such-peer" in text


def test_a_load_generator_at_its_limit_is_named(tmp_path):
    row = Row("r", "work", [Side("fast", gives(rate(7, client=0.91))),
                            Side("slow", gives(rate(7, client=0.89)))])
    named = [line for line in report.lines(result_of(tmp_path, row))
             if "the load generator is the limit" in line]
    assert len(named) == 1 and named[0].split()[0] == "fast"


def test_a_machine_that_others_use_is_named(tmp_path):
    row = Row("r", "work", [Side("a", gives(rate(7)))])
    result = result_of(tmp_path, row)
    for others, named in ((0.5, True), (0.0, False)):
        result["machine"]["others"] = others
        assert any("worth little" in line for line in report.lines(result)) is named


def test_three_files_are_written_and_the_picture_has_a_bar_for_each_goal(tmp_path):
    row = Row("r", "a < b & c", [Side("a", gives(rate(2))), Side("b", gives(rate(1))),
                                 Side("c", None, why_not="no")],
              [Goal("a", "b", at_least=1), Goal("a", "b", at_most=1), Goal("a", "c", at_least=1)])
    report.write(result_of(tmp_path, row), str(tmp_path / "out"))
    picture = xml.etree.ElementTree.parse(tmp_path / "out.svg").getroot()
    kinds = [part.get("class") for part in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert kinds == ["page", "met", "missed"]
    assert "3 goals: 1 reached, 1 MISSED, 1 not measured" in (tmp_path / "out.txt").read_text()
    assert (tmp_path / "out.json").stat().st_size > 0


def test_every_row_is_sound():
    rows = command.all_rows()
    keys = [row.key for row in rows]
    assert len(keys) == len(set(keys)) > 0
    for row in rows:
        names = [side.name for side in row.sides]
        assert len(names) == len(set(names)), row.key
        assert row.work and row.better in ("higher", "lower"), row.key
        assert row.forms and row.forms <= set(command.FORMS), row.key
        for side in row.sides:
            assert side.why_not or side.measure, (row.key, side.name)
        for goal in row.goals:
            assert goal.side in names and goal.over in (*names, None), (row.key, goal)
            assert (goal.at_least is None) != (goal.at_most is None), (row.key, goal)
