#!/bin/bash
# A Ray cluster, on each of whose named machines torchrun is started: ray.sh 10.0.0.5 10.0.0.6
# They are named as Ray names them. p2pkit is installed there, or else named by --runtime-env.
host=true  # the first machine keeps what all of them write
for address in "$@"; do
  ray job submit --no-wait --working-dir . --entrypoint-num-gpus 8 \
    --entrypoint-resources "{\"node:$address\": 0.001}" -- \
    torchrun --nnodes "$#" --nproc-per-node 8 --max-restarts 3 --shutdown-timeout 90 --rdzv-id facades \
    --rdzv-backend c10d --rdzv-endpoint "$1:29500" --rdzv-conf "is_host=$host" \
    -m p2pkit train run.yaml --go-on
  host=false
done
