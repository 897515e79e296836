"""Models: how they were trained, whether their confidence can be believed, what controls know without them."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from experiments.charts.chart import PICK, Chart, Numbers, short
from experiments.charts.style import GREY, HEIGHT, ORANGE, Arms, arms_down, by_part, over, picked, share_axis
from experiments.means import mean
from experiments.report import number_text

Row = dict[str, Any]
_PARTS = {"loss": "fitted part", "validation_loss": "validation part"}


def training(rows: list[Row], of: Arms) -> Chart | None:
    """Loss over epochs: of each arm the means over its runs, of what is fitted and what is held back."""
    there = [arm for arm in of.names if any(row["arm"] == arm for row in rows)]
    if not there:
        return None
    data: list[Row] = []
    lines, epochs = [], sorted({int(row["epoch"]) for row in rows})
    for arm in there:
        of_arm = [row for row in rows if row["arm"] == arm]
        for epoch in sorted({row["epoch"] for row in of_arm}):
            of_epoch = [row for row in of_arm if row["epoch"] == epoch]
            n_kept = sum(bool(row["is_kept"]) for row in of_epoch)
            for name, part in _PARTS.items():
                value = mean(of_epoch, name)
                if value is not None:
                    data.append({"arm": arm, "part": part, "epoch": epoch, "loss": short(value), "kept": n_kept})
            top1 = [number_text(mean(of_epoch, name), "ratio") for name in ("top1_ratio", "validation_top1_ratio")]
            losses = [number_text(mean(of_epoch, name), "ratio") for name in _PARTS]
            lines.append([arm, str(epoch), *losses, *top1, f"{n_kept} of {len(of_epoch)}"])
    pick, opacity = picked()
    x = alt.X(
        "epoch:Q",
        axis=alt.Axis(title="epoch", values=epochs, format="d", labelOverlap="greedy"),
        scale=alt.Scale(nice=False),
    )
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("part:N", title="of"), alt.Tooltip("epoch:Q"),
               alt.Tooltip("loss:Q", format=".4f"), alt.Tooltip("kept:Q", title="runs that kept it")]  # fmt: skip
    base = over(data).encode(
        x=x, y=alt.Y("loss:Q", axis=alt.Axis(title="mean loss", tickCount=5), scale=alt.Scale(zero=False)),
        color=of.color(there), opacity=opacity, tooltip=tooltip,
    )  # fmt: skip
    dash = alt.StrokeDash("part:N", scale=alt.Scale(domain=list(_PARTS.values()), range=[[1, 0], [5, 3]]),
                          legend=alt.Legend(title=None, symbolType="stroke"))  # fmt: skip
    kept = base.transform_filter("datum.kept > 0").mark_point(filled=True, size=60)
    picture = (base.mark_line().encode(strokeDash=dash, detail="part:N").add_params(pick) + kept).properties(
        height=HEIGHT
    )
    says = "Loss by epoch, means over runs, of the fitted and of the validation part; dots mark epochs that were kept."
    columns = ["arm", "epoch", "loss", "validation loss", "top-1", "validation top-1", "runs that kept it"]
    return Chart("training", "Training", says, picture, Numbers(columns, lines), PICK)


def calibration(answers: Mapping[str, Any], of: Arms) -> Chart | None:
    """How often answers came true, by how sure they were; on the diagonal confidence is what it says."""
    data: list[Row] = []
    lines = []
    for arm, given in answers.items():
        # Tables name all that they know with the same confidence: there is nothing to calibrate.
        if (given.n > 0).sum() < 2:
            continue
        for n, confidence, n_true in zip(given.n, given.confidence, given.n_true, strict=True):
            if n:
                data.append({"arm": arm, "sure": short(confidence / n), "true": short(n_true / n), "n": int(n)})
                lines.append([arm, f"{confidence / n:.3f}", f"{n_true / n:.3f}", f"{n:,.0f}"])
    arms = list(dict.fromkeys(row["arm"] for row in data))
    if not arms:
        return None
    pick, opacity = picked()
    x = alt.X("sure:Q", scale=alt.Scale(domain=[0, 1]), axis=share_axis("confidence of the best guess", ".0%"))
    y = alt.Y("true:Q", scale=alt.Scale(domain=[0, 1]), axis=share_axis("share that came true", ".0%"))
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("sure:Q", title="mean confidence", format=".1%"),
               alt.Tooltip("true:Q", title="came true", format=".1%"),
               alt.Tooltip("n:Q", title="answers", format=",")]  # fmt: skip
    base = over(data).encode(x=x, y=y, color=of.color(arms), opacity=opacity, tooltip=tooltip)
    line = base.mark_line().encode(strokeDash=of.dashes(arms)).add_params(pick)
    dots = base.mark_point(filled=True, opacity=1).encode(
        size=alt.Size("n:Q", scale=alt.Scale(range=[20, 300]), legend=None)
    )
    ideal = [{"sure": 0, "true": 0}, {"sure": 1, "true": 1}]
    diagonal = over(ideal).mark_line(color=GREY, strokeDash=[4, 3], strokeWidth=1).encode(x=x, y=y)
    says = "Confidence of best guesses against the share that came true, of judged accesses; dots grow with answers."
    numbers = Numbers(["arm", "mean confidence", "came true", "answers"], lines)
    picture = (diagonal + line + dots).properties(height=HEIGHT)
    return Chart("calibration", "Can its confidence be believed?", says, picture, numbers, PICK)


def controls(rows: list[Row], arms: list[str]) -> Chart | None:
    """What models named beforehand on the validation part, beside the best control that needs no network."""
    data: list[Row] = []
    lines = []
    colours = {"the model": "#0072b2", "its best control": ORANGE}
    for arm in arms:
        of_arm = [row for row in rows if row["arm"] == arm and row.get("control_top1_ratio") is not None]
        if not of_arm:
            continue
        names = ", ".join(dict.fromkeys(str(row["control"]) for row in of_arm))
        n_ahead = sum(bool(row["beats_control"]) for row in of_arm)
        values = [mean(of_arm, name) or 0.0 for name in ("named_ratio", "control_top1_ratio")]
        for part, value in zip(colours, values, strict=True):
            data.append({"arm": arm, "part": part, "value": value, "text": f"{value:.4f}", "control": names})
        lines.append([arm, *(f"{value:.4f}" for value in values), names, f"{n_ahead} of {len(of_arm)}"])
    if not data:
        return None
    there = list(dict.fromkeys(row["arm"] for row in data))
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("part:N", title="by"), alt.Tooltip("text:N", title="named"),
               alt.Tooltip("control:N", title="control")]  # fmt: skip
    picture = over(data).mark_bar().encode(
        x=alt.X("value:Q", axis=share_axis("share of the validation part that was named", ".0%"),
                scale=alt.Scale(domain=[0, 1])),
        y=arms_down(there), yOffset=alt.YOffset("part:N", sort=list(colours)),
        color=by_part(list(colours), list(colours.values()))["color"], tooltip=tooltip,
    ).properties(height={"step": 34, "for": "position"})  # fmt: skip
    says = "Share of the validation part that models named beforehand: " + "; ".join(
        f"{line[0]} {line[1]}, its control ({line[3]}) {line[2]}" for line in lines
    )
    columns = ["arm", "the model", "its best control", "which", "models that beat it"]
    return Chart("controls", "Beside controls", f"{says}.", picture, Numbers(columns, lines))
