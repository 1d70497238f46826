"""Updates of a real project folder: exactly the edit, nothing of the user's, all or nothing."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from projects import PROJECT, STORY, replace

from spoutgen import __version__
from spoutgen.errors import ConflictError, MachineError, ProjectError, SpecError, SpoutgenError
from spoutgen.project import apply
from spoutgen.project.apply import alone, read_orders
from spoutgen.project.create import create
from spoutgen.project.lock import BASE, LOCK
from spoutgen.project.plan import plan
from spoutgen.project.render import render
from spoutgen.project.step import check_image, check_in_step
from spoutgen.project.template import Template
from spoutgen.project.tree import read_tree
from spoutgen.project.update import abort, update
from spoutgen.spec import load, load_text, violations


def codes(error):
    return [diagnostic.code for diagnostic in error.value.diagnostics]


def news(planned):
    return {decision.path: decision.action for decision in planned.news}


# An edit of the spec


def test_nothing_to_do_changes_nothing(project):
    before = read_tree(project)
    assert update(project).news == ()
    assert read_tree(project) == before


def test_a_new_symbol_changes_one_line_of_one_file(project):
    before = read_tree(project)
    replace(project / "spout.yaml", '"."', '"*"')
    assert news(update(project)) == {"pipeline.json": "change"}
    after = read_tree(project)
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert changed == {"spout.yaml", "pipeline.json", f"{BASE}/pipeline.json", LOCK}
    old, new = (tree["pipeline.json"].data.decode().splitlines() for tree in (before, after))
    assert [a for a, b in zip(old, new, strict=True) if a != b] == [line for line in old if "SPOUT_CONFIG" in line]
    assert update(project).news == ()


def test_an_updated_project_is_the_project_that_new_would_make(project, make, tmp_path):
    replace(project / "spout.yaml", '"."', '"*"')
    replace(project / "spout.yaml", "mymark", "{prefix: other}")
    update(project)
    expected = read_tree(make(tmp_path / "fresh", (project / "spout.yaml").read_text()))
    got = read_tree(project)
    # README.md is a seed: it keeps the marker's old name until its owner changes it.
    assert {p for p in {*expected, *got} if expected.get(p) != got.get(p)} == {"README.md"}


def test_a_touched_file_that_need_not_change_stays(project):
    (project / "Dockerfile").write_text("FROM scratch\n")
    replace(project / "spout.yaml", '"."', '"*"')
    assert news(update(project)) == {"pipeline.json": "change"}
    assert (project / "Dockerfile").read_text() == "FROM scratch\n"


def test_files_of_the_user_are_never_touched(project):
    for name in ("README.md", "notes.txt", "with space.txt", "{{ cookiecutter.name }}.txt"):
        (project / name).write_text("mine\n")
    os.mkfifo(project / "a pipe")
    replace(project / "spout.yaml", "mymark", "other")
    update(project)
    for name in ("README.md", "notes.txt", "with space.txt", "{{ cookiecutter.name }}.txt"):
        assert (project / name).read_text() == "mine\n"


def test_a_wrong_spec_changes_nothing(project):
    replace(project / "spout.yaml", "symbol, symbol", "symbl, symbol")
    before = read_tree(project)
    with pytest.raises(Exception, match="symbl"):
        update(project)
    assert read_tree(project) == before


def test_a_changed_comment_is_nothing_to_do_and_remembered(project):
    replace(project / "spout.yaml", "version: 1", "# why\nversion: 1")
    lock = (project / LOCK).read_bytes()
    assert update(project).news == ()
    assert (project / LOCK).read_bytes() != lock
    lock = (project / LOCK).read_bytes()
    assert update(project).after == ()
    assert (project / LOCK).read_bytes() == lock


def test_in_step_or_not(project):
    check_in_step(project)
    replace(project / "spout.yaml", "version: 1", "# a comment is no edit\nversion: 1")
    check_in_step(project)
    replace(project / "spout.yaml", '"."', '"*"')
    with pytest.raises(ProjectError) as error:
        check_in_step(project)
    assert codes(error) == ["SG403"]
    update(project)
    check_in_step(project)


# A newer template meets edits of the user's


@pytest.fixture
def drift(template, project):
    """``drift(path, text)``: the template gets another file at that path (None: none any more)."""

    def drift(path: str, text: bytes | None, mode: int | None = None) -> Path:
        file = template / PROJECT / path
        if text is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)
        if mode is not None:
            file.chmod(mode)
        return project / path

    return drift


@pytest.fixture
def generated(drift, project):
    """``generated(path, text)``: the template and the project have that file from now on."""

    def generated(path: str, text: bytes, mode: int | None = None) -> Path:
        drift(path, text, mode)
        update(project)
        return project / path

    return generated


@pytest.mark.parametrize("path", ["a.txt", "with space.txt", "deep/er/with space", "é.txt"])
def test_both_changed_in_two_places(generated, drift, project, path):
    file = generated(path, b"1\n2\n3\n4\n5\n")
    file.write_bytes(b"1\n2\n3\n4\nfive\n")
    drift(path, b"one\n2\n3\n4\n5\n")
    assert news(update(project)) == {path: "merge"}
    assert file.read_bytes() == b"one\n2\n3\n4\nfive\n"


def test_without_git_the_same(generated, drift, project, monkeypatch):
    file = generated("a.txt", b"1\n2\n3\n4\n5\n")
    file.write_bytes(b"1\n2\n3\n4\nfive\n")
    drift("a.txt", b"one\n2\n3\n4\n5\n")
    monkeypatch.setenv("PATH", "/nowhere")
    assert news(update(project)) == {"a.txt": "merge"}
    assert file.read_bytes() == b"one\n2\n3\n4\nfive\n"


def test_both_changed_in_one_place(generated, drift, project):
    file = generated("a.txt", b"1\n2\n3\n")
    file.write_bytes(b"1\nmine\n3\n")
    drift("a.txt", b"1\ntheirs\n3\n")
    assert update(project).conflicts == ("a.txt",)
    marked = b"1\n<<<<<<< yours\nmine\n||||||| base\n2\n=======\ntheirs\n>>>>>>> new\n3\n"
    assert file.read_bytes() == marked
    for left in (marked, b"1\nmine\n>>>>>>> new\n", b"||||||| base\n2\n"):
        file.write_bytes(left)
        with pytest.raises(ConflictError) as error:
            update(project)
        assert codes(error) == ["SG408"]
        assert file.read_bytes() == left
    file.write_bytes(b"1\nboth\n3\n")
    assert update(project).news == ()
    assert file.read_bytes() == b"1\nboth\n3\n"


def test_conflicts_are_no_contents_of_an_image(generated, drift, project):
    file = generated("a.py", b"1\n")
    file.write_bytes(b"mine\n")
    drift("a.py", b"theirs\n")
    replace(project / "spout.yaml", ":v1", ":v2")
    assert not update(project).image.is_reused
    file.write_bytes(b"both\n")
    assert not update(project).image.is_reused, "v2 was never used with conflict marks"
    check_image(project)


def test_mode_bits(generated, drift, project):
    tool, other, private = generated("tool", b"1\n"), generated("other", b"1\n"), generated("private", b"1\n")
    drift("tool", b"1\n", 0o755)
    other.chmod(0o755)
    drift("other", b"2\n")
    private.chmod(0o600)
    drift("private", b"2\n")
    assert news(update(project)) == {"tool": "change", "other": "merge", "private": "change"}
    assert [oct(file.stat().st_mode & 0o777) for file in (tool, other, private)] == ["0o755", "0o755", "0o600"]


def test_a_link_in_place_of_a_file_stays_and_is_not_followed(generated, drift, project, tmp_path):
    file = generated("a.txt", b"1\n")
    outside = tmp_path / "outside.txt"
    outside.write_bytes(b"not the project's\n")
    file.unlink()
    file.symlink_to(outside)
    drift("a.txt", b"2\n")
    assert news(update(project)) == {"a.txt": "beside"}
    assert outside.read_bytes() == b"not the project's\n"
    assert file.is_symlink()
    assert (project / "a.txt.new").read_bytes() == b"2\n"


def test_a_folder_that_is_a_link_out_of_the_project_blocks(generated, drift, project, tmp_path):
    generated("d/a.txt", b"1\n")
    (project / "d").rename(tmp_path / "elsewhere")
    (project / "d").symlink_to(tmp_path / "elsewhere")
    drift("d/a.txt", b"2\n")
    assert_blocked(project, "is a link")
    assert (tmp_path / "elsewhere/a.txt").read_bytes() == b"1\n"


@pytest.mark.parametrize("name", [".spoutgen", ".spoutgen/base", ".spoutgen/update", ".spoutgen/update.new"])
def test_our_own_folders_are_no_links(project, tmp_path, name):
    outside = tmp_path / "outside"
    if (project / name).exists():
        (project / name).rename(outside)
    else:
        outside.mkdir()
    (project / name).symlink_to(outside)
    replace(project / "spout.yaml", '"."', '"*"')
    before = read_tree(outside)
    with pytest.raises(ProjectError) as error:
        update(project)
    assert codes(error) == ["SG409"]
    assert read_tree(outside) == before


def test_binary_files(generated, drift, project):
    same, mine = generated("same.bin", b"\0 1"), generated("mine.bin", b"\0 1")
    mine.write_bytes(b"\0 mine")
    drift("same.bin", b"\0 2")
    drift("mine.bin", b"\0 2")
    assert news(update(project)) == {"same.bin": "change", "mine.bin": "beside"}
    assert same.read_bytes() == b"\0 2"
    assert mine.read_bytes() == b"\0 mine"
    assert (project / "mine.bin.new").read_bytes() == b"\0 2"


def test_crlf_and_no_final_new_line(generated, drift, project):
    crlf, open_end = generated("crlf.txt", b"1\n2\n3\n4\n"), generated("open.txt", b"1\n2\n3")
    crlf.write_bytes(b"1\r\n2\r\n3\r\nfour\r\n")
    open_end.write_bytes(b"1\n2\n3\n4")
    drift("crlf.txt", b"one\n2\n3\n4\n")
    drift("open.txt", b"one\n2\n3")
    assert news(update(project)) == {"crlf.txt": "merge", "open.txt": "merge"}
    assert crlf.read_bytes() == b"one\r\n2\r\n3\r\nfour\r\n"
    assert open_end.read_bytes() == b"one\n2\n3\n4"


def test_renamed_by_the_template(generated, drift, project):
    as_it_was, changed, untouched = (
        generated(name, b"".join(b"%d %s\n" % (line, name.encode()) for line in range(9)))
        for name in ("one.txt", "two.txt", "three.txt")
    )
    text = changed.read_bytes()
    for file in (as_it_was, changed):
        file.write_bytes(file.read_bytes() + b"mine\n")
    drift("d/one.txt", drift("one.txt", None) and as_it_was.read_bytes().removesuffix(b"mine\n"))
    drift("two.txt", None)
    drift("d/two.txt", text.replace(b"0 two", b"0 TWO"))
    drift("three.txt", None)
    drift("d/three.txt", untouched.read_bytes())
    planned = update(project)
    assert news(planned) == {
        **dict.fromkeys(("d/one.txt", "d/two.txt", "d/three.txt"), "add"),
        **dict.fromkeys(("one.txt", "two.txt", "three.txt"), "delete"),
    }
    assert (project / "d/one.txt").read_bytes().endswith(b"8 one.txt\nmine\n")
    assert (project / "d/two.txt").read_bytes() == text.replace(b"0 two", b"0 TWO") + b"mine\n"
    assert not as_it_was.exists()


def test_deleted_by_either_side(generated, drift, project):
    for name in ("yours.txt", "yours2.txt", "theirs.txt", "theirs2.txt", "d/last.txt"):
        generated(name, b"1\n")
    (project / "yours.txt").unlink()
    (project / "yours2.txt").unlink()
    drift("yours2.txt", b"2\n")
    (project / "theirs2.txt").write_bytes(b"mine\n")
    for name in ("theirs.txt", "theirs2.txt", "d/last.txt"):
        drift(name, None)
    planned = update(project)
    assert news(planned) == {
        "d/last.txt": "delete",
        "theirs.txt": "delete",
        "theirs2.txt": "keep",
        "yours2.txt": "keep",
    }
    assert all(decision.note for decision in planned.news if decision.action == "keep")
    assert not (project / "yours2.txt").exists()
    assert (project / "theirs2.txt").read_bytes() == b"mine\n"
    assert not (project / "d").exists(), "an empty folder is no part of a fresh project either"


@pytest.mark.parametrize(("before", "after"), [("x", "x/y"), ("x/y", "x"), ("x/y/z", "x"), ("x", "x/y/z")])
def test_a_folder_takes_the_place_of_a_file_and_the_other_way_round(generated, drift, project, template, before, after):
    generated(before, b"1\n")
    drift(before, None)
    if (template / PROJECT / "x").is_dir():
        shutil.rmtree(template / PROJECT / "x")
        (project / before).parent.joinpath("__pycache__").mkdir()
        (project / before).parent.joinpath("__pycache__/x.pyc").write_bytes(b"byte code")
    drift(after, b"2\n")
    original = read_tree(project)
    assert news(update(project)) == {before: "delete", after: "add"}
    assert (project / after).read_bytes() == b"2\n"
    # And back: staged again as if it had been interrupted, then undone.
    assert read_tree(project) != original


def test_a_folder_of_yours_blocks(generated, drift, project):
    file = generated("x", b"1\n")
    file.unlink()
    file.mkdir()
    (file / "mine").write_bytes(b"mine\n")
    drift("x", b"2\n")
    assert_blocked(project, "a folder")


def test_a_file_that_cannot_be_read_blocks_only_where_it_has_to_change(somebody, template):
    with somebody() as project:
        own = project.parent / "template"
        (project / "Dockerfile").chmod(0)
        replace(project / "spout.yaml", '"."', '"*"')
        assert news(update(project)) == {"pipeline.json": "change"}
        replace(own / PROJECT / "Dockerfile", "WORKDIR", "USER 0\nWORKDIR")
        assert_blocked(project, "cannot be read")
        (project / "Dockerfile").chmod(0o644)
        (project / BASE / "Dockerfile").chmod(0)
        with pytest.raises(ProjectError) as error:
            update(project)
        assert codes(error) == ["SG405"]


def test_a_spec_that_cannot_be_read_is_named(somebody):
    with somebody() as project:
        for closed in (project / "spout.yaml", project):
            mode = closed.stat().st_mode & 0o777
            closed.chmod(0)
            try:
                with pytest.raises(SpecError, match="SG101 Permission denied"):
                    load(project)
                for look in (plan, check_in_step):
                    with pytest.raises(SpoutgenError, match="Permission denied") as error:
                        look(project)
                    assert codes(error) == ["SG405" if closed == project else "SG101"]
            finally:
                closed.chmod(mode)


def test_a_read_only_folder_is_seen_before_anything_changes(somebody):
    with somebody() as project:
        replace(project.parent / "template" / PROJECT / "spout/__init__.py", '"""', '"""New. ')
        replace(project / "spout.yaml", '"."', '"*"')
        (project / "spout").chmod(0o555)
        try:
            assert_blocked(project, "cannot be written in")
        finally:
            (project / "spout").chmod(0o755)
        (project / ".spoutgen").chmod(0o555)
        before = read_tree(project)
        try:
            with pytest.raises(MachineError) as error:
                update(project)
        finally:
            (project / ".spoutgen").chmod(0o755)
        assert codes(error) == ["SG407"]
        assert read_tree(project) == before


def test_a_file_that_cannot_be_replaced_undoes_the_whole_update(project):
    if (
        not shutil.which("chattr")
        or subprocess.run(["chattr", "+i", project / "pipeline.json"], check=False).returncode
    ):
        pytest.skip("needs a file system and a user that can make a file immutable")
    replace(project / "spout.yaml", '"."', '"*"')
    (project / "Dockerfile").unlink()
    (project / "Dockerfile").write_text("FROM scratch\n")
    before = read_tree(project)
    try:
        with pytest.raises(MachineError, match="SG407") as error:
            update(project)
        assert "undone" in error.value.diagnostics[0].hint
        assert read_tree(project) == before
        assert read_orders(project) is None
    finally:
        subprocess.run(["chattr", "-i", project / "pipeline.json"], check=True)
    assert news(update(project)) == {"pipeline.json": "change"}


@pytest.mark.parametrize("step", range(6))
def test_a_full_disk_in_the_middle_undoes_the_whole_update(project, template, monkeypatch, step):
    replace(template / PROJECT / "spout/__init__.py", '"""', '"""New. ')
    replace(project / "spout.yaml", '"."', '"*"')
    before, put, left = read_tree(project), apply._put, step

    def put_until_full(source, target):
        nonlocal left
        left -= 1
        if left == -1:  # once: what is freed then is enough to undo
            raise OSError(errno.ENOSPC, "No space left on device")
        put(source, target)

    monkeypatch.setattr(apply, "_put", put_until_full)
    if left == 5:
        assert update(project).news
        return
    with pytest.raises(MachineError, match="No space left"):
        update(project)
    assert read_tree(project) == before


def assert_blocked(project, why):
    before = read_tree(project)
    with pytest.raises(ProjectError, match=why) as error:
        update(project)
    assert codes(error) == ["SG409"]
    assert read_tree(project) == before


# One at a time, and undone


def test_two_updates_at_a_time_are_refused(project):
    replace(project / "spout.yaml", '"."', '"*"')
    with alone(project):
        for command in (update, abort):
            with pytest.raises(MachineError) as error:
                command(project)
            assert codes(error) == ["SG415"]
    update(project)


def test_there_may_be_nothing_to_undo(project, tmp_path):
    for folder in (project, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ProjectError) as error:
            abort(folder)
        assert codes(error) == ["SG401"]


def test_staged_files_that_are_gone_delete_nothing(project):
    orders = apply.stage(project, {"pipeline.json": read_tree(project)["Dockerfile"]}, ())
    shutil.rmtree(project / apply.STAGED / "after")
    before = (project / "pipeline.json").read_bytes()
    with pytest.raises(FileNotFoundError):
        apply.apply(project, orders)
    assert (project / "pipeline.json").read_bytes() == before


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("is_written", [True, False])
def test_an_edit_made_after_an_interruption_is_not_written_over(project, in_place, is_written):
    file, new = project / "main.py", read_tree(project)["Dockerfile"]
    original = file.read_bytes()
    orders = apply.stage(project, {"main.py": new, LOCK: read_tree(project)[LOCK]}, ())
    if is_written:
        apply._write(project, project / apply.STAGED / "after", ["main.py", LOCK])
    if not in_place:
        file.unlink()
    file.write_bytes(b"an hour of work\n")
    with pytest.raises(ProjectError) as error:
        update(project)
    assert codes(error) == ["SG409"]
    assert apply.edited_since(project, orders) == ["main.py"]
    assert abort(project) == ["main.py"]
    assert (project / apply.ABORTED / "main.py").read_bytes() == b"an hour of work\n"
    # An edit in place of a file that the update had not reached yet is all there is of that file.
    assert file.read_bytes() == (b"an hour of work\n" if in_place and not is_written else original)


def test_where_files_cannot_be_linked_they_are_copied(project, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    replace(project / "spout.yaml", '"."', '"*"')
    assert news(update(project)) == {"pipeline.json": "change"}
    assert "*" in (project / "pipeline.json").read_text()


def test_orders_that_cannot_be_read_are_said_to_be(project):
    apply.stage(project, {"pipeline.json": None}, ())
    (project / apply.STAGED / "orders.json").write_text("{")
    with pytest.raises(ProjectError) as error:
        update(project)
    assert codes(error) == ["SG405"]


def test_a_project_without_its_base_loses_no_edit(project, template):
    shutil.rmtree(project / BASE)
    replace(project / "Dockerfile", "WORKDIR", "USER 0\nWORKDIR")
    replace(template / PROJECT / "main.py", '"""', '"""New. ')
    planned = update(project)
    assert news(planned) == {"Dockerfile": "conflict", "main.py": "conflict"}
    assert "USER 0" in (project / "Dockerfile").read_text()


def test_a_project_made_by_the_own_template_is_found_by_it_again(tmp_path):
    create(render(load_text(STORY, "spout.yaml")), tmp_path / "p")
    assert update(tmp_path / "p").news == ()


def test_the_fork_is_used_again(project, template, tmp_path, monkeypatch):
    replace(template / PROJECT / "Dockerfile", "WORKDIR", "LABEL team=data\nWORKDIR")
    monkeypatch.chdir(tmp_path)
    update(project)
    assert "LABEL team=data" in (project / "Dockerfile").read_text()
    moved = template.rename(tmp_path / "moved")
    with pytest.raises(ProjectError, match="no such template"):
        update(project)
    assert update(project, Template(moved, "moved")).news == ()
    assert update(project, Template(moved, "../moved")).news == ()


def test_a_seed_that_the_project_never_had_is_written_once(project, template, drift):
    drift("source.py", b"seed\n")
    replace(template.parent / "spoutmarker" / LOCK, '"README.md": "seed",\n', "")
    (project / "README.md").unlink()
    assert news(update(project)) == {"README.md": "add"}, "source.py is for custom sources only"
    assert not (project / "source.py").exists()
    (project / "README.md").unlink()
    replace(project / "spout.yaml", '"."', '"*"')
    assert news(update(project)) == {"pipeline.json": "change"}


def test_a_spec_that_this_version_has_checked_is_not_asked_of_the_schema_again(project, template, monkeypatch):
    asked = []
    check = violations.check
    monkeypatch.setattr(violations, "check", lambda *args: asked.append(1) or check(*args))
    replace(template / PROJECT / "Dockerfile", "WORKDIR", "LABEL a=1\nWORKDIR")
    assert [decision.path for decision in update(project).news] == ["Dockerfile"]
    assert asked == []
    replace(project / "spout.yaml", '"."', '"*"')
    update(project)
    assert asked == [1]
    replace(template / PROJECT / "Dockerfile", "LABEL a=1", "LABEL a=2")
    replace(project / ".spoutgen/lock.json", f'"spoutgen": "{__version__}"', '"spoutgen": "0.0.9"')
    update(project)
    assert asked == [1, 1], "another version may have had another schema"


def test_a_spec_that_was_edited_to_be_wrong_is_told(project):
    replace(project / "spout.yaml", "version: 1", "version: 7")
    with pytest.raises(SpecError):
        update(project)
