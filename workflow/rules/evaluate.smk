# Compares runs with the ground truth. A rule per training job, not per run: starting Python
# takes longer than evaluating a run, and a wildcard cannot stand for the folders of several runs.


def evaluation_name(job):
    """evaluate_glyphs_seed_0_satl_known_0_10_8, for the first of nine runs."""
    first = job.runs[0]
    return re.sub(r"\W+", "_", f"evaluate {first.dataset} seed {first.seed} {job.name}")


def held_out_option(job):
    """`--validation` with a table for each run."""
    if not EXPERIMENT.validation:
        return ""
    return shlex.join(["--validation", *map(held_out_split_of, job.runs)])


for job in JOBS.values():

    rule:
        name:
            evaluation_name(job)
        input:
            trained=str(job.folder(RESULTS)),
            observed=sorted({split_of(run) for run in job.runs}),
            train=f"{DATA}/train.npz".format(dataset=job.runs[0].dataset),
            test=f"{DATA}/test.npz".format(dataset=job.runs[0].dataset),
            held_out=sorted({held_out_split_of(run) for run in job.runs} - {None}),
        output:
            # The last file that it writes to a run folder.
            [str(run.folder(RESULTS) / "metrics.json") for run in job.runs],
        log:
            str(job.log(RESULTS, "evaluate")),
        priority: 1  # results are there as soon as they can be
        conda:
            ENVIRONMENT
        params:
            runs=[str(job.run_folder(RESULTS, run)) for run in job.runs],
            observed=[split_of(run) for run in job.runs],
            held_out=held_out_option(job),
            out=[str(run.folder(RESULTS)) for run in job.runs],
            resamples=EXPERIMENT.report.resamples,
            keep=EXPERIMENT.report.keep_scores,
            code=code_digest("satl.evaluation.evaluate"),
        shell:
            "{SATL} evaluate {params.runs:q} --observed {params.observed:q} --train {input.train:q}"
            " {params.held_out}"
            " --test {input.test:q} --resamples {params.resamples} --keep {params.keep}"
            " --out {params.out:q}"
            " > {log} 2>&1"
