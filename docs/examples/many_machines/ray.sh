#!/bin/bash
# A Ray cluster, on each of whose named machines torchrun is started: ray.sh 10.0.0.5 10.0.0.6
# p2pkit is installed there, or else named by --runtime-env.
for address in "$@"; do
  ray job submit --no-wait --working-dir . --entrypoint-num-gpus 8 \
    --entrypoint-resources "{\"node:$address\": 0.001}" -- \
    torchrun --nnodes "$#" --nproc-per-node 8 --max-restarts 3 --shutdown-timeout 90 \
    --rdzv-id facades --rdzv-backend c10d --rdzv-endpoint "$1:29500" \
    -m p2pkit train run.yaml --go-on
done
