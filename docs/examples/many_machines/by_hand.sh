#!/bin/bash
# Start this on each machine; the first one that is named keeps what all of them write.
# One machine of eight GPUs or two: where one is lost, the other goes on.
torchrun --nnodes 1:2 --nproc-per-node 8 --max-restarts 10 --shutdown-timeout 90 \
  --rdzv-id facades --rdzv-backend c10d --rdzv-endpoint "${1:-gpu1}:29500" \
  -m p2pkit train run.yaml --go-on
