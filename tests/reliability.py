"""Kills whatever stores something at each of its steps and counts what was lost: python -m tests.reliability

Each trial: a data folder, a process that does one thing in it and is killed at its n-th step (tests/killing.py), then
what a restart does: check, read what is queued, check again. What was promised before the kill must be there and whole;
what was not must be there as a whole or not at all. Prints a JSON object a trial; see docs/results/reliability.md.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from diagnosis_tool import resources
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.reviews import Opinion
from diagnosis_tool.domain.studies import Instance, InstanceState
from diagnosis_tool.errors import BackupInvalid
from diagnosis_tool.services.backup import restore, write_backup
from diagnosis_tool.services.browse import get_study
from diagnosis_tool.services.check import check_store
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.review import save_review
from testing.stores import DATABASE, open_store
from tests.fakes.classifier import FakeClassifier
from tests.killing import EndedRun, Say, every_step, run, run_for
from tests.predicting import predict_all
from tests.stores import film, send

NO_IMAGE: Final = b"no image at all"
_WORKER: Final = "worker-1"
Judge = Callable[[Path, EndedRun, Say], None]


@dataclass(slots=True, kw_only=True)
class Count:
    """What a trial came to. promised: answers of success; lost: sentences on what was not there after the restart."""

    trial: str
    killed: int = 0
    promised: int = 0
    orphans: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One kind of operation. made: fills the data folder before; judge: looks after the kill, in a new process."""

    name: str
    made: Callable[[Path, Say], None]
    operation: Callable[[Path, Say], None]
    judge: Judge


def read_queue(data_dir: Path, _: Say = print) -> None:
    """What a worker does from its start until nothing waits."""
    context = open_store(data_dir)
    context.jobs.release_all(_WORKER)
    predict_all(context, FakeClassifier(), worker=_WORKER)


def _some_studies(data_dir: Path, _: Say) -> None:
    context = open_store(data_dir)
    send(context, film(1), film(2))
    read_queue(data_dir)
    send(context, film(3), NO_IMAGE, film(2), film(3))


def _send_three(data_dir: Path, say: Say) -> None:
    say(send(open_store(data_dir), film(2), film(7), film(8)))


def _delete_first(data_dir: Path, say: Say) -> None:
    context = open_store(data_dir)
    uid = context.studies.study(_uids(context)[0], ALL_PROJECTS).uid
    context.studies.delete([uid], ALL_PROJECTS)
    say(f"deleted {uid}")


def _save_reviews(data_dir: Path, say: Say) -> None:
    context = open_store(data_dir)
    uid = _done(context)[0].uid
    for revision in range(2):
        save_review(context, uid, Opinion(note=f"note {revision + 1}"), based_on=revision, user_id=1)
        say(f"{uid} {revision + 1}")


def _back_up(data_dir: Path, say: Say) -> None:
    write_backup(
        open_store(data_dir),
        data_dir=data_dir,
        database_file=data_dir / DATABASE,
        migrations=resources.migrations_dir(),
        target=data_dir.with_name("backup.tar"),
    )
    say("backed up")


def _read_and_back_up(data_dir: Path, say: Say) -> None:
    _some_studies(data_dir, say)
    read_queue(data_dir)
    _back_up(data_dir, say)
    shutil.rmtree(data_dir)


def _restore(data_dir: Path, say: Say) -> None:
    restore(backup=data_dir.with_name("backup.tar"), data_dir=data_dir, migrations=resources.migrations_dir())
    say("restored")


def _uids(context: Context) -> list[str]:
    """Oldest first."""
    return sorted(context.inventory.study_uids(), key=lambda uid: context.studies.study(uid, ALL_PROJECTS).created_at)


def _done(context: Context) -> list[Instance]:
    studies = (get_study(context, uid) for uid in _uids(context))
    return [i for study in studies for i in study.instances if i.state is InstanceState.DONE]


def recover(data_dir: Path, say: Say) -> Context:
    """What a restart does, and whether all that is visible after it is whole."""
    context = open_store(data_dir)
    report = check_store(context, remove_orphans=True, in_flight_s=0)
    say(f"orphans {report.removed}")
    for fault in report.faults:
        say(f"lost {fault.kind} after the kill: {fault.what}")
    read_queue(data_dir)
    report = check_store(context, in_flight_s=0)
    if not report.is_sound or report.in_flight:
        say(f"lost after the restart: {report}")
    for uid in _uids(context):
        for instance in get_study(context, uid).instances:
            _look_at(context, instance, say)
    return context


def _look_at(context: Context, instance: Instance, say: Say) -> None:
    data = context.blobs.read(instance.sha256)
    if data == NO_IMAGE:
        if instance.state is not InstanceState.REFUSED or not instance.error:
            say(f"lost: what is no image is {instance.state}")
        return
    expected = FakeClassifier().predict(decode_radiograph(data)).outputs
    found = instance.prediction.outputs if instance.prediction else ()
    if instance.state is not InstanceState.DONE or [o.probability for o in found] != [o.probability for o in expected]:
        say(f"lost: an image is {instance.state} ({instance.error}), with {len(found)} of {len(expected)} answers")
    elif not context.studies.thumbnail(instance.uid, ALL_PROJECTS):
        say("lost: a thumbnail")


def _judge_upload(data_dir: Path, ended: EndedRun, say: Say) -> None:
    context = recover(data_dir, say)
    sizes = Counter(len(get_study(context, uid).instances) for uid in _uids(context))
    if sizes not in ({2: 1, 4: 1}, {2: 1, 4: 1, 3: 1}):
        say(f"lost: studies of these sizes are there: {dict(sizes)}")
    for uid in ended.said:
        if uid not in context.inventory.study_uids():
            say(f"lost: the upload {uid} was answered with success")
    send(context, film(9))  # and it works on
    read_queue(data_dir)


def _judge_reading(data_dir: Path, _: EndedRun, say: Say) -> None:
    context = recover(data_dir, say)
    if (n := len(_uids(context))) != 2:
        say(f"lost: {n} of 2 studies are there")


def _judge_deletion(data_dir: Path, ended: EndedRun, say: Say) -> None:
    context = recover(data_dir, say)
    uids = context.inventory.study_uids()
    if any(line.startswith("deleted ") and line.split()[1] in uids for line in ended.said):
        say("lost: a study that was answered as deleted is there again")
    if not 1 <= len(uids) <= 2:
        say(f"lost: {len(uids)} studies are there")


def _judge_reviews(data_dir: Path, ended: EndedRun, say: Say) -> None:
    context = recover(data_dir, say)
    for line in ended.said[-1:]:
        uid, revision = line.split()
        review = context.reviews.get(uid, ALL_PROJECTS)
        if review.revision < int(revision) or review.opinion.note != f"note {review.revision}":
            say(f"lost: revision {revision} was answered with success, there is {review.revision}")


def _judge_backup(data_dir: Path, ended: EndedRun, say: Say) -> None:
    recover(data_dir, say)
    target, new = data_dir.with_name("backup.tar"), data_dir.with_name("new")
    if ended.said and not target.is_file():
        say("lost: a backup that was answered with success")
    if target.is_file():
        restore(backup=target, data_dir=new, migrations=resources.migrations_dir())
        recover(new, say)


def _judge_restoring(data_dir: Path, ended: EndedRun, say: Say) -> None:
    served = (data_dir / DATABASE).exists()
    if ended.said and not served:
        say("lost: what was answered as restored")
    if not served:
        try:
            _restore(data_dir, lambda _: None)
        except BackupInvalid as error:
            say(f"lost: the backup cannot be restored any more: {error}")
            return
    shutil.rmtree(data_dir / "restoring", ignore_errors=True)
    _judge_reading(data_dir, ended, say)


def _read_all_of_it(data_dir: Path, say: Say) -> None:
    _some_studies(data_dir, say)
    read_queue(data_dir)


TRIALS: Final = (
    Trial(name="submit", made=_some_studies, operation=_send_three, judge=_judge_upload),
    Trial(name="predict", made=_some_studies, operation=read_queue, judge=_judge_reading),
    Trial(name="delete", made=_read_all_of_it, operation=_delete_first, judge=_judge_deletion),
    Trial(name="review", made=_read_all_of_it, operation=_save_reviews, judge=_judge_reviews),
    Trial(name="backup", made=_some_studies, operation=_back_up, judge=_judge_backup),
    Trial(name="restore", made=_read_and_back_up, operation=_restore, judge=_judge_restoring),
)


class Bench:
    """A folder for trials: each begins with a copy of the same data folder."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        self._trial = trial
        self._folders = (folder / str(k) for k in count())
        self._made = folder / "made"
        run(trial.made, self._made / "data")
        self.count = Count(trial=trial.name)

    def fresh(self) -> Path:
        """A data folder as the trial begins."""
        folder = next(self._folders)
        shutil.copytree(self._made, folder)
        return folder / "data"

    def look(self, data_dir: Path, ended: EndedRun, where: str) -> None:
        """Judges one run and removes its folder."""
        seen = run(lambda folder, say: self._trial.judge(folder, ended, say), data_dir)
        self.count.killed += ended.killed
        self.count.promised += len(ended.said)
        for line in seen.said:
            kind, _, rest = line.partition(" ")
            if kind == "orphans":
                self.count.orphans += int(rest)
            else:
                self.count.lost.append(f"{self._trial.name}, {where}: {line}")
        shutil.rmtree(data_dir.parent)


def at_each_step(folder: Path, trial: Trial, *, stride: int, every_statement: bool) -> Count:
    """The trial once for each step (of each `stride` steps), and once to its end."""
    bench = Bench(folder, trial)
    for data_dir, ended in every_step(trial.operation, bench.fresh, stride=stride, every_statement=every_statement):
        bench.look(data_dir, ended, f"killed {ended.step}" if ended.killed else "not killed")
    return bench.count


def at_random(folder: Path, trial: Trial, times: int, chance: random.Random) -> Count:
    """Killed from outside at any moment, also within SQLite and the system's calls."""
    bench = Bench(folder, trial)
    for _ in range(times):
        data_dir, seconds = bench.fresh(), chance.uniform(0, 0.15)
        bench.look(data_dir, run_for(trial.operation, data_dir, seconds), f"killed after {seconds:.4f} s")
    return bench.count


def _folder() -> str | None:
    """In memory where there is such a folder: what a killed process wrote outlives it there as on a disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def counts(*, rounds: int, stride: int, at_moments: int, every_statement: bool, names: list[str]) -> Iterator[Count]:
    """All trials of these names; rounds: how often each step; at_moments: how often besides at any moment."""
    chance = random.Random(7)
    for trial in TRIALS:
        if trial.name not in names:
            continue
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(dir=_folder()) as folder:
                yield at_each_step(Path(folder), trial, stride=stride, every_statement=every_statement)
        if at_moments:
            with tempfile.TemporaryDirectory(dir=_folder()) as folder:
                yield at_random(Path(folder), trial, at_moments, chance)


def main() -> int:
    """Prints the counts; 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [trial.name for trial in TRIALS]
    parser.add_argument("trials", nargs="*", default=names, metavar="TRIAL", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=1, help="how often each step is the last one")
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="take one of N steps only")
    parser.add_argument("--at-moments", type=int, default=0, metavar="N", help="besides: N kills at any moment")
    parser.add_argument("--every-statement", action="store_true", help="SQL that only reads is a step, too")
    options = parser.parse_args()
    lost = False
    for made in counts(
        rounds=options.rounds,
        stride=options.stride,
        at_moments=options.at_moments,
        every_statement=options.every_statement,
        names=options.trials,
    ):
        lost = lost or bool(made.lost)
        print(
            json.dumps(
                {
                    "trial": made.trial,
                    "killed": made.killed,
                    "promised": made.promised,
                    "orphans_removed": made.orphans,
                    "lost": made.lost,
                }
            ),
            flush=True,
        )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
