# From the net to the data folder, and the word embeddings of a data set out of GloVe.

from snakemake.logging import logger

from satl.download.needs import (
    needed,
    provided,
    receipt,
    source_of,
    sources_of,
    vectors_path,
    weights_path,
)


def downloads(*paths):
    """Receipts of the downloads that these configured paths come from: what a job waits for."""
    names = {source_of(EXPERIMENT, path) for path in paths} - {None}
    return sorted(str(receipt(EXPERIMENT, name)) for name in names)


def file_or_download(path):
    """A configured file as input of a job: itself, or the receipt of the download that holds it."""
    return downloads(path) or [path]


for name in needed(EXPERIMENT):
    if receipt(EXPERIMENT, name).exists() and not provided(EXPERIMENT, name).exists():
        logger.warning(
            f"{provided(EXPERIMENT, name)} was downloaded, but is gone; should a job miss it:\n"
            f"  python -m satl download --config {CONFIG} --only {name}"
        )


rule download:
    input:
        CHECKED,
    output:
        # update(): a receipt from before stays, and with it the checksum to compare with.
        update(str(receipt(EXPERIMENT, "{source}"))),
    log:
        f"{RESULTS}/logs/download/{{source}}.log",
    wildcard_constraints:
        source="|".join(map(re.escape, sources_of(EXPERIMENT))),
    # The nodes of many clusters do not reach the net.
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        download=1,
    shell:
        "{SATL} download --config {CONFIG} --only {wildcards.source} > {log} 2>&1"


rule embeddings:
    input:
        glove=lambda wildcards: file_or_download(vectors_path(EXPERIMENT)),
        images=f"{DATA}/test-images.npz",
    output:
        f"{DATA}/embeddings.txt",
    log:
        f"{RESULTS}/logs/embeddings/{{dataset}}.log",
    conda:
        ENVIRONMENT
    params:
        vectors=vectors_path(EXPERIMENT),
        code=code_digest("satl.data.embeddings"),
    shell:
        "{SATL} embeddings {params.vectors:q} --images {input.images} --out {output} > {log} 2>&1"
