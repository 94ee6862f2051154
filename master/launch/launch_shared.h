/* SPDX-License-Identifier: Apache-2.0 */
/* The ranks that an mpirun started on this host, and the shared memory that they leave
 * behind when they are killed: files that take memory until somebody removes them.
 * Private to master/launch/. */
#ifndef ARCHWAY_MASTER_LAUNCH_LAUNCH_SHARED_H
#define ARCHWAY_MASTER_LAUNCH_LAUNCH_SHARED_H

#include <stdint.h>
#include <sys/types.h>

/* How many ranks are children of process `mpirun` and live, and Open MPI's number of
 * their job and how many there should be (unchanged where there is none). proc: "/proc".
 */
int launch_shared_ranks(const char *proc, pid_t mpirun, uint32_t *ret_job, int *ret_size);
/* Remove the segments of that job (not 0) and of this user in `folder`, "/dev/shm", and
 * no others. Returns how many. Only when its ranks are gone. */
int launch_shared_remove(const char *folder, uint32_t job);

#endif
