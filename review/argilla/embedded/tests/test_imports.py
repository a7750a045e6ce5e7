"""Libraries that fill memory are loaded by whoever needs them, and by nobody else."""

from pathlib import Path

from test_programs import eventually, start_redis


def test_the_libraries_of_the_hub_are_loaded_by_the_job_that_needs_them(own):
    redis = start_redis(own)
    worker = own.launch("worker")
    owner = own.client()
    try:
        dataset = owner.dataset()
        assert [holds_pandas(process) for process in (own.process, worker)] == [False, False]
        # What the Hub's library takes for the name of a dataset may be a folder.
        folder = own.home / "texts"
        folder.mkdir()
        (folder / "train.jsonl").write_text('{"said": "from the hub"}\n')
        mapping = {"fields": [{"source": "said", "target": "text"}]}
        owner.call(
            "POST",
            f"datasets/{dataset}/import",
            {"name": str(folder), "subset": "default", "split": "train", "mapping": mapping},
        )
        assert eventually(lambda: owner.search(dataset).total == 1), own.log("worker")
        assert [holds_pandas(process) for process in (own.process, worker)] == [False, True]
    finally:
        for process in (worker, redis):
            process.terminate()
            process.wait(10)


def holds_pandas(process):
    return "/pandas/" in Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
