#!/usr/bin/env bash
# How much faster a GPU trains in bfloat16 and compiled, how the networks of the papers compare with their frame-wise
# baselines, and how busy the GPU is with the real loader. Under 8 minutes on one GPU with torch 2.11 and Python 3.12.
#
#     tests/speed/gpu.sh [FOLDER]              writes FOLDER/speed.csv and FOLDER/gpu.txt; default: results
#     DEVICE=cpu tests/speed/gpu.sh [FOLDER]   the same at smoke scale on the CPU, to see that it runs
#
# It needs vtbench's dependencies; PYTHON names another interpreter than python3, EACH_S and STEPS_S other limits.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=${1:-results}
device=${DEVICE:-cuda}
python=${PYTHON:-python3}
if [ "$device" = cpu ]; then
    scale=smoke rounds=3 each=${EACH_S:-200} steps=(--rows msca/table2:tokenshift --kinds 32-true bf16-mixed --seconds 1 --workers 1 --steps 4)
else
    scale=paper rounds=10 each=${EACH_S:-40} steps=()
fi
mkdir -p "$folder"
log=$folder/gpu.txt
: >"$log"

# A family that does not fit must not keep the others from being measured.
measure() { # precision, row, baseline
    timeout "$each" "$python" -m vtbench speed "$2" --against "$3" --only train,throughput --device "$device" \
        --scale "$scale" --precision "$1" --rounds "$rounds" --train-batch 4 --results "$folder" --format csv \
        2>&1 | tee -a "$log" || echo "$2 at $1: failed, or took over $each s" | tee -a "$log"
}

measure bf16-mixed msca/table2:tokenshift msca/table2:vit
measure bf16-mixed msca/table2:msca-kv msca/table2:vit
measure bf16-mixed laps/table1:laps laps/table1:base2d
measure bf16-mixed pst/table2e:pst pst/table2a:none
measure bf16-mixed mmvit/table1:mm-vit-iii-co mmvit/table1:mm-vit-i

# Training steps of one network in float32, bfloat16 and compiled, in turns; then with the loader.
timeout "${STEPS_S:-270}" "$python" tests/speed/gpu_steps.py --device "$device" --scale "$scale" "${steps[@]}" 2>&1 | tee -a "$log"
