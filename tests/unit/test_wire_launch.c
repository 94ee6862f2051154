/* SPDX-License-Identifier: Apache-2.0 */
/* Environments as found in processes started by the launchers named. */
#include "proto/wire_launch.h"

#include "proto/wire.h"
#include "unit.h"

static void clean(void)
{
    static const char *const names[] = {
        "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE", "PMI_RANK",
        "PMIX_RANK", "PMIX_NAMESPACE", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID",
        "SLURM_NTASKS", "SLURM_JOB_ID", "SLURM_STEP_ID",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

static void set(const char *name, const char *value)
{
    setenv(name, value, 1);
}

START_TEST(a_plain_shell_is_not_launched)
{
    clean();
    ck_assert(!wire_mpi_launched());
    ck_assert_int_eq(wire_launch_detect().ranks, 1);
}
END_TEST

START_TEST(damaged_numbers_count_for_nothing)
{
    static const char *const values[] = {"", "x", "-3", "0", "3x", " 3", "99999999999"};
    clean();
    set("OMPI_COMM_WORLD_RANK", "0");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        set("OMPI_COMM_WORLD_SIZE", values[i]);
        ck_assert_msg(!wire_mpi_launched(), "'%s'", values[i]);
    }
}
END_TEST

START_TEST(the_shell_of_an_allocation_is_not_launched)
{
    clean(); /* sbatch and salloc */
    set("SLURM_JOB_ID", "12");
    set("SLURM_NTASKS", "64");
    set("SLURM_PROCID", "0");
    ck_assert(!wire_mpi_launched());
    set("SLURM_STEP_ID", "4294967290"); /* salloc with an interactive step */
    set("SLURM_STEP_NUM_TASKS", "1");
    set("PMIX_RANK", "0");
    set("PMIX_NAMESPACE", "slurm.pmix.12.0");
    ck_assert(!wire_mpi_launched());
}
END_TEST

START_TEST(mpirun_is_believed_before_slurm)
{
    clean();
    set("SLURM_STEP_NUM_TASKS", "4"); /* the step that carries mpirun's daemons */
    set("SLURM_PROCID", "1");
    set("OMPI_COMM_WORLD_SIZE", "1");
    set("OMPI_COMM_WORLD_RANK", "0");
    ck_assert(!wire_mpi_launched());
    set("OMPI_COMM_WORLD_SIZE", "3");
    ck_assert(wire_mpi_launched());
    ck_assert_int_eq(wire_launch_detect().ranks, 3);
    ck_assert(wire_launch_detect().managed);
}
END_TEST

START_TEST(srun_is_managed_only_with_pmix)
{
    clean();
    set("SLURM_STEP_NUM_TASKS", "3");
    set("SLURM_PROCID", "0");
    ck_assert(wire_mpi_launched());
    ck_assert(!wire_launch_detect().managed);
    set("PMI_SIZE", "3"); /* --mpi=pmi2 */
    set("PMI_RANK", "0");
    ck_assert(wire_mpi_launched());
    ck_assert(!wire_launch_detect().managed);
    set("PMIX_RANK", "0");
    set("PMIX_NAMESPACE", "slurm.pmix.12.0");
    ck_assert(wire_launch_detect().managed);
}
END_TEST

START_TEST(an_unmanaged_srun_is_one_clear_error)
{
    struct wire *w = NULL;
    struct error err = {0};
    clean();
    set("SLURM_STEP_NUM_TASKS", "3");
    set("SLURM_PROCID", "0");
    ck_assert_int_eq(wire_mpi_open(&w, &err), ERROR_USAGE);
    ck_assert_str_eq(err.text,
                     "SLURM_STEP_NUM_TASKS says that 3 tasks were started, but without a "
                     "process manager that MPI can use; start with 'srun --mpi=pmix' or "
                     "with mpirun");
    clean();
    ck_assert_int_eq(wire_mpi_open(&w, &err), ERROR_USAGE);
    ck_assert_ptr_null(w);
}
END_TEST

START_TEST(pmix_alone_says_launched)
{
    clean();
    set("PMIX_RANK", "0");
    ck_assert(!wire_mpi_launched());
    set("PMIX_NAMESPACE", "prterun-1");
    ck_assert(wire_mpi_launched());
    ck_assert_int_eq(wire_launch_detect().ranks, 0);
}
END_TEST

UNIT_MAIN("wire_launch", a_plain_shell_is_not_launched, damaged_numbers_count_for_nothing,
          the_shell_of_an_allocation_is_not_launched, mpirun_is_believed_before_slurm,
          srun_is_managed_only_with_pmix, an_unmanaged_srun_is_one_clear_error,
          pmix_alone_says_launched)
