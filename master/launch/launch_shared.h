/* SPDX-License-Identifier: Apache-2.0 */
/* The shared memory that the ranks of an mpirun on this host leave behind when they are
 * killed: files that take memory until somebody removes them. Private to master/launch/.
 */
#ifndef ARCHWAY_MASTER_LAUNCH_LAUNCH_SHARED_H
#define ARCHWAY_MASTER_LAUNCH_LAUNCH_SHARED_H

#include <stdint.h>
#include <sys/types.h>

/* Open MPI's number of the job whose ranks are children of process `mpirun`; 0 when there
 * is no rank yet that tells it. proc: "/proc". */
uint32_t launch_shared_job(const char *proc, pid_t mpirun);
/* Remove the segments of that job (not 0) and of this user in `folder`, "/dev/shm", and
 * no others. Returns how many. Only when its ranks are gone. */
int launch_shared_remove(const char *folder, uint32_t job);

#endif
