"""Attacks on whoever moves files: names, links and archives that lead the host astray."""

from __future__ import annotations

import io
import os
import tarfile

from agentgym.conformance.sandbox.attack import Attack, Verdict
from agentgym.conformance.sandbox.host import Host
from agentgym.core.errors import AgentGymError
from agentgym.core.sandbox import MEBIBYTE, Sandbox

_FORGED = b"forged by an upload"


def _up(host: Host) -> str:
    return "../" * 40 + str(host.secret).lstrip("/")


def _overwritten(host: Host, evidence: object) -> Verdict:
    forged = _FORGED in host.secret.read_bytes()
    return Verdict(forged, "the host's file was overwritten" if forged else str(evidence)[:300])


async def _upload(box: Sandbox, host: Host) -> Verdict:
    """Upload to a path that leaves the box."""
    told: list[str] = []
    for path in (_up(host), str(host.secret), f"a/../{_up(host)}"):
        try:
            await box.upload({path: _FORGED})
            told.append("stayed inside")
        except AgentGymError as error:
            told.append(str(error))
    return _overwritten(host, told[0])


async def _upload_by_link(box: Sandbox, host: Host) -> Verdict:
    """Have an upload follow a link that was left for it."""
    await box.run(["ln", "-sfn", str(host.folder), "folder"])
    await box.run(["ln", "-sfn", str(host.secret), "file"])
    told = "stayed inside"
    for path in ("folder/secret", "file"):
        try:
            await box.upload({path: _FORGED})
        except AgentGymError as error:
            told = str(error)
    return _overwritten(host, told)


async def _download(box: Sandbox, host: Host) -> Verdict:
    """Download from a path that leaves the box."""
    return await _fetched(box, host, [_up(host), str(host.secret), f"a/../{_up(host)}"])


async def _download_by_link(box: Sandbox, host: Host) -> Verdict:
    """Have a download follow a link that was left for it."""
    await box.run(["ln", "-sfn", str(host.folder), "folder"])
    await box.run(["ln", "-sfn", str(host.secret), "file"])
    return await _fetched(box, host, ["file", "folder/secret"])


async def _fetched(box: Sandbox, host: Host, paths: list[str]) -> Verdict:
    told = ""
    for path in paths:
        try:
            found = await box.download(path)
        except AgentGymError as error:
            told = str(error)
            continue
        if host.holds(found):
            return Verdict(True, f"{path!r} gave the secret away")
    return Verdict(False, told[:300] or "another file was read")


async def _restore(box: Sandbox, host: Host) -> Verdict:
    """Restore an archive whose members lead out of the box, by names and by links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(host.folder)
        archive.addfile(link)
        for name in (str(host.secret), _up(host), "out/secret"):
            member = tarfile.TarInfo(name)
            member.size = len(_FORGED)
            archive.addfile(member, io.BytesIO(_FORGED))
    try:
        await box.restore(buffer.getvalue())
    except AgentGymError as error:
        return _overwritten(host, error)
    return _overwritten(host, "stayed inside")


async def _bomb(box: Sandbox, host: Host) -> Verdict:
    """Make a snapshot that is many times larger than the box may hold."""
    most = 4 * box.spec.disk_bytes + MEBIBYTE
    script = f"for n in $(seq 16); do truncate -s {box.spec.disk_bytes} hole-$n; done"
    await box.run(["sh", "-c", script])
    try:
        taken = len(await box.snapshot())
    except AgentGymError as error:
        return Verdict(False, str(error)[:300])
    finally:
        await box.run(["sh", "-c", "rm -f hole-*"])
    return Verdict(taken > most, f"{taken:,} bytes came")


async def _device(box: Sandbox, host: Host) -> Verdict:
    """Have a download read what has no end."""
    await box.run(["ln", "-sfn", "/dev/zero", "endless"])
    try:
        taken = len(await box.download("endless"))
    except AgentGymError as error:
        return Verdict(False, str(error)[:300])
    return Verdict(taken > 2 * box.spec.disk_bytes, f"{taken:,} bytes came")


async def _forged_words(box: Sandbox, host: Host) -> Verdict:
    """Have the words of a command taken for options or for a script on the host."""
    mark = host.folder / "injected"
    told = ""
    for word in (f"$(touch {mark})", f"; touch {mark}", f"--json-status-fd=1`touch {mark}`", "--bind / /"):
        try:
            told = (await box.run(["printf", "%s", word])).text
        except AgentGymError as error:
            told = str(error)
    forged = os.path.lexists(mark)
    return Verdict(forged, "a command ran on the host" if forged else f"printed as it is: {told!r}")


ATTACKS: dict[str, Attack] = {
    "transfer.upload": _upload,
    "transfer.upload_by_link": _upload_by_link,
    "transfer.download": _download,
    "transfer.download_by_link": _download_by_link,
    "transfer.restore": _restore,
    "transfer.snapshot_bomb": _bomb,
    "transfer.endless_download": _device,
    "transfer.words": _forged_words,
}
"""By id."""
