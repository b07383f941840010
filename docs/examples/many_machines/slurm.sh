#!/bin/bash
#SBATCH --job-name=facades
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --requeue                  # begun anew where a machine is lost: it goes on
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120          # two minutes before the end: save and leave

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Without --kill-on-bad-exit the others wait ten minutes for a torchrun that is gone.
srun --kill-on-bad-exit torchrun --nnodes "$SLURM_NNODES" --nproc-per-node 8 --max-restarts 3 \
  --shutdown-timeout 90 --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d \
  --rdzv-endpoint "$head:29500" -m p2pkit train run.yaml --go-on
