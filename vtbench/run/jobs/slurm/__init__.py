"""Training runs as jobs of SLURM, submitted by submitit: `sbatch` makes the scripts, `node` is what a job does, `queue`
asks SLURM, `engine` submits and waits."""
