# From Visual Genome's lists, index and objects to label tables; `split` goes on from there.

VG_PARTS = {"train": "test", "test": "train"}


def vg_list(wildcards, part):
    return getattr(dataset_of(wildcards), f"{part}_list")


def vg_count_option(wildcards):
    count = getattr(dataset_of(wildcards).expected_images, wildcards.part)
    return f"--expected-images {count}" if count else ""


def vg_name_options(wildcards):
    given = dataset_of(wildcards).names.items()
    return " ".join(f"--name {shlex.quote(f'{index}={name}')}" for index, name in given)


rule vg_names:
    input:
        index=lambda wildcards: dataset_of(wildcards).index,
        objects=lambda wildcards: dataset_of(wildcards).objects,
    output:
        f"{DATA}/categories.json",
    params:
        categories=lambda wildcards: dataset_of(wildcards).categories,
        by_hand=vg_name_options,
        code=code_hash("satl.data.vg_names"),
    wildcard_constraints:
        dataset=of_format("vg"),
    log:
        f"{RESULTS}/logs/vg_names/{{dataset}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} vg-names {input.index:q} --objects {input.objects:q}"
        " --categories {params.categories} {params.by_hand} --out {output} > {log} 2>&1"


rule vg_table:
    input:
        list=lambda wildcards: vg_list(wildcards, wildcards.part),
        other=lambda wildcards: vg_list(wildcards, VG_PARTS[wildcards.part]),
        index=lambda wildcards: dataset_of(wildcards).index,
        names=f"{DATA}/categories.json",
    output:
        f"{DATA}/{{part}}-annotated.npz",
    params:
        images=lambda wildcards: dataset_of(wildcards).images,
        unannotated=lambda wildcards: dataset_of(wildcards).unannotated,
        expected=vg_count_option,
        code=code_hash("satl.data.vg"),
    wildcard_constraints:
        dataset=of_format("vg"),
    log:
        f"{RESULTS}/logs/table/{{dataset}}-{{part}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} vg-table {input.list:q} --apart-from {input.other:q} --index {input.index:q}"
        " --names {input.names} --images {params.images:q} {params.expected}"
        " --unannotated {params.unannotated} --out {output} > {log} 2>&1"
