#!/usr/bin/env bash
# How much faster a GPU trains in bfloat16 and compiled, how the networks of the papers compare with their frame-wise
# baselines, and how busy the GPU is with the real loader. Under 8 minutes on one GPU with torch 2.11 and Python 3.12.
#
#     tests/speed/gpu.sh [FOLDER]              writes FOLDER/speed.csv and FOLDER/gpu.txt; default: results
#     DEVICE=cpu tests/speed/gpu.sh [FOLDER]   the same at smoke scale on the CPU, to see that it runs
#
# It needs vtbench's dependencies; PYTHON names another interpreter than python3.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=${1:-results}
device=${DEVICE:-cuda}
python=${PYTHON:-python3}
if [ "$device" = cpu ]; then scale=smoke rounds=3; else scale=paper rounds=10; fi
mkdir -p "$folder"
log=$folder/gpu.txt
: >"$log"

# A family that does not fit must not keep the others from being measured.
measure() { # precision, row, baseline
    timeout 75 "$python" -m vtbench speed "$2" --against "$3" --only train,throughput --device "$device" \
        --scale "$scale" --precision "$1" --rounds "$rounds" --train-batch 4 --results "$folder" --format csv \
        2>&1 | tee -a "$log" || echo "$2 at $1: failed" | tee -a "$log"
}

for precision in 32-true bf16-mixed; do
    measure "$precision" msca/table2:tokenshift msca/table2:vit
    measure "$precision" msca/table2:msca-kv msca/table2:vit
    measure "$precision" laps/table1:laps laps/table1:base2d
    measure "$precision" pst/table2e:pst pst/table2a:none
    measure "$precision" mmvit/table1:mm-vit-iii-co mmvit/table1:mm-vit-i
done

# Training steps of one network in float32, bfloat16 and compiled, in turns; then with the loader.
timeout 180 "$python" tests/speed/gpu_steps.py --device "$device" --scale "$scale" 2>&1 | tee -a "$log"
