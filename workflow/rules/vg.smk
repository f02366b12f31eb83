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


def vg_name_inputs(wildcards):
    dataset = dataset_of(wildcards)
    return file_or_download(dataset.index) + file_or_download(dataset.objects)


def vg_table_inputs(wildcards):
    dataset = dataset_of(wildcards)
    files = (dataset.train_list, dataset.test_list, dataset.index)
    waited_for = [path for file in files for path in file_or_download(file)]
    return waited_for + downloads(*dataset.images)


rule vg_names:
    input:
        vg_name_inputs,
        CHECKED,
    output:
        f"{DATA}/categories.json",
    params:
        index=lambda wildcards: dataset_of(wildcards).index,
        objects=lambda wildcards: dataset_of(wildcards).objects,
        categories=lambda wildcards: dataset_of(wildcards).categories,
        by_hand=vg_name_options,
        code=code_digest("satl.data.vg.names"),
    wildcard_constraints:
        dataset=of_format("vg"),
    log:
        f"{RESULTS}/logs/vg_names/{{dataset}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} vg-names {params.index:q} --objects {params.objects:q}"
        " --categories {params.categories} {params.by_hand} --out {output} > {log} 2>&1"


rule vg_table:
    input:
        vg_table_inputs,
        names=f"{DATA}/categories.json",
    output:
        f"{DATA}/{{part}}-annotated.npz",
    params:
        list=lambda wildcards: vg_list(wildcards, wildcards.part),
        other=lambda wildcards: vg_list(wildcards, VG_PARTS[wildcards.part]),
        index=lambda wildcards: dataset_of(wildcards).index,
        images=lambda wildcards: dataset_of(wildcards).images,
        unannotated=lambda wildcards: dataset_of(wildcards).unannotated,
        expected=vg_count_option,
        code=code_digest("satl.data.vg.table"),
    wildcard_constraints:
        dataset=of_format("vg"),
    log:
        f"{RESULTS}/logs/table/{{dataset}}-{{part}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} vg-table {params.list:q} --apart-from {params.other:q} --index {params.index:q}"
        " --names {input.names} --images {params.images:q} {params.expected}"
        " --unannotated {params.unannotated} --out {output} > {log} 2>&1"
