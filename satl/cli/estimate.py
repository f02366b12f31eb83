"""`satl estimate`: runs, disk and hours of an experiment, before anything is downloaded."""

import argparse

from satl.cli._options import add_command, config_option, device_option

GIGABYTE = 10**9


def _estimate(commands) -> None:
    text = "tell runs, images, disk and training time of an experiment before it is started"
    parser = add_command(commands, "estimate", _run_estimate, text)
    config_option(parser)
    parser.add_argument(
        "--seconds", type=float, default=120, help="to measure for, on this machine (120)"
    )
    device_option(parser)


def _run_estimate(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.estimate.sizes import dataset_sizes
    from satl.methods.registry import checked_methods
    from satl.training.engine import choose_device

    experiment = load(args.config)
    checked = checked_methods(experiment)
    methods = {name: checked[name] for name in experiment.methods}  # a trial costs no more
    sizes = dataset_sizes(experiment)
    asked_for = args.device or experiment.device
    device = choose_device(asked_for)
    _print_extent(experiment, methods, sizes)
    if asked_for == "auto" and device.type == "cpu":
        print("\nno GPU here: on the machine that is to train, hours are measured")
        _print_cards(experiment, methods, sizes)
    else:
        _print_measured(experiment, methods, sizes, device, args.seconds)


def _print_measured(experiment, methods, sizes, device, seconds) -> None:
    from satl.estimate.sizes import views_per_image
    from satl.estimate.times import all_hours, measure
    from satl.runs.provenance import device_name

    print(f"\nmeasuring for about {seconds:.0f} seconds on {device_name(device)} …", flush=True)
    costs = measure(experiment, methods, sizes, device, seconds)
    training = experiment.training
    for dataset, cost in costs.items():
        print(f"\n{dataset}: milliseconds per batch of {training.batch_size}")
        print(f"  {'images and frozen stages':28}{1000 * cost.shared.train:10.1f}")
        for name, method in cost.methods.items():
            print(f"  {name:28}{1000 * method.train:10.1f}")
    hours = all_hours(experiment, sizes, costs)
    print(f"\nof this device, with runs_per_job: {experiment.runs_per_job}")
    if training.cached_views:
        views = f"once; {views_per_image(training)} views per training image"
        print(f"  {'feature maps':28}{_time(hours.features):>14} ({views})")
    print(f"  {'all training jobs':28}{_time(hours.training):>14}")
    if hours.one_by_one > hours.training:
        print(f"  {'with runs_per_job: 1':28}{_time(hours.one_by_one):>14}")
    if device.type == "cpu":
        print(
            f"One job after another, {training.threads} thread(s) each: `snakemake --cores N` "
            "runs several at once."
        )
    if not training.cached_views:
        print("Reading images is not in it: image_cache: disk, or enough workers, should keep up.")


def _time(hours: float) -> str:
    """In the unit that a person would take."""
    minutes = 60 * hours
    if minutes < 1:
        return "under a minute"
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{hours:,.1f} hours"


def _print_cards(experiment, methods, sizes) -> None:
    from satl.estimate.cards import CARDS, GB, STEP_SECONDS, UTILISATION, count
    from satl.estimate.times import all_hours

    counts = count(experiment, methods, sizes)
    training = experiment.training
    settings = max(len(experiment.known(dataset)) for dataset in experiment.datasets)
    largest = len(experiment.trained) * settings
    asked = min(experiment.runs_per_job, largest)  # more do not share their images
    print(
        f"{'an estimate, by counting':28}{'GB per job':>12}{'runs_per_job':>14}{'hours':>10}\n"
        f"{'':28}{f'of {asked} runs':>12}{'at most':>14}{f'with {asked}':>10}"
    )
    for card in CARDS:
        memory = max(c.job_bytes(experiment, asked) for c in counts.values()) / GB
        most = min(largest, *(c.most_runs(experiment, card) for c in counts.values()))
        costs = {name: c.costs(experiment, card) for name, c in counts.items()}
        hours = all_hours(experiment, sizes, costs)
        total = hours.features + hours.training
        shown = f"{total:,.{0 if total > 10 else 1}f}" if most >= asked else "too small"
        print(f"  {card.name:26}{memory:12.1f}{most:14}{shown:>10}")
    print(
        f"Counted, not measured: {UTILISATION:.0%} of each card's published peak at "
        f"training.precision {training.precision},\nand no step of a run faster than "
        f"{1000 * STEP_SECONDS:.0f} ms, which Python takes to issue it."
    )
    if training.cached_views:
        print("Computing the feature maps of cached_views, once, is in the hours.")


def _print_extent(experiment, methods, sizes) -> None:
    from satl.download.needs import needed, sources_of
    from satl.estimate.sizes import all_run_bytes, largest_job_bytes, pixel_bytes
    from satl.runs.layout import run_keys, training_jobs

    runs, jobs = len(run_keys(experiment)), len(training_jobs(experiment))
    print(f"{experiment.name}: {runs} runs in {jobs} training jobs")
    for name, size in sizes.items():
        note = f" ({size.note})" if size.note else ""
        print(
            f"  {name}: {size.train:,} training and {size.test:,} test images, "
            f"{size.categories} categories{note}"
        )
    sources = [sources_of(experiment)[name] for name in needed(experiment)]
    amounts = {
        "downloads": sum(source.size for source in sources if not source.path),
        "unpacked": sum(source.unpacked or 0 for source in sources),
        "decoded images": sum(pixel_bytes(experiment, size) for size in sizes.values()),
        **_feature_maps(experiment, sizes),
        "run folders": all_run_bytes(experiment, sizes),
        **_weights(experiment, methods, sizes),
        "a job until its evaluation": largest_job_bytes(experiment, sizes),
    }
    print("disk, GB")
    for what, amount in amounts.items():
        print(f"  {what:28}{amount / GIGABYTE:10.1f}")


def _weights(experiment, methods, sizes) -> dict[str, int]:
    """Bytes of the networks in them; nothing where none are kept."""
    if experiment.training.keep_weights is None:
        return {}
    from satl.estimate.weights import all_weights_bytes

    amount = all_weights_bytes(experiment, methods, sizes)
    return {"their model.safetensors": amount, "copies of these in MLflow": amount}


def _feature_maps(experiment, sizes) -> dict[str, int]:
    """Bytes of cached feature maps; nothing where the protocol has none."""
    from satl.estimate.sizes import feature_bytes

    if not experiment.training.cached_views:
        return {}
    from satl.estimate.frozen import count_frozen, random_backbone

    frozen = count_frozen(random_backbone(experiment), experiment.training.image_size)
    values = frozen.maps.numel()
    return {"feature maps": sum(feature_bytes(experiment, s, values) for s in sizes.values())}


COMMANDS = (_estimate,)
