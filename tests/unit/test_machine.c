/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/machine.h"
#include "unit.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/cpu_list.h"

static char folder[64];

static void make_folder(void)
{
    strcpy(folder, "/tmp/archway-machine-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static int remove_entry(const char *path, const struct stat *st, int type,
                        struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_folder(void)
{
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Write text to FOLDER/path, making the folders on the way. */
static void put_file(const char *path, const char *text)
{
    char name[256];
    int n = snprintf(name, sizeof name, "%s/%s", folder, path);
    ck_assert_int_lt(n, (int)sizeof name);
    for (char *p = name + strlen(folder) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(name, 0755);
    }
    FILE *f = fopen(name, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

START_TEST(odd_cpu_lists_are_refused)
{
    static const char *const odd[] = {"-",
                                      "a",
                                      "1-",
                                      "3-1",
                                      "1,",
                                      ",1",
                                      "1,,2",
                                      "1;2",
                                      "0x3",
                                      "8192",
                                      "99999999999999999999",
                                      "1 2",
                                      "-1",
                                      NULL};
    struct cpu_list list;
    memset(&list, 0x55, sizeof list);
    struct cpu_list before = list;
    for (int i = 0; odd[i]; i++)
        ck_assert_msg(!cpu_list_parse(odd[i], &list), "'%s' was accepted", odd[i]);
    ck_assert_mem_eq(&list, &before, sizeof list);
}
END_TEST

START_TEST(cpu_lists_read_and_write)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"0\n", "0"},
                                           {" 0-3,8 ", "0-3,8"},
                                           {"3,2,1,8191", "1-3,8191"},
                                           {"63-64,66", "63-64,66"},
                                           {"0-8191", "0-8191"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct cpu_list list;
        char text[64];
        ck_assert(cpu_list_parse(pairs[i][0], &list));
        ck_assert(cpu_list_format(&list, text, sizeof text));
        ck_assert_str_eq(text, pairs[i][1]);
    }
}
END_TEST

START_TEST(cpu_lists_are_counted_and_bounded)
{
    struct cpu_list list;
    char text[8];
    ck_assert(cpu_list_parse("0-3,64", &list));
    ck_assert_int_eq(cpu_list_count(&list), 5);
    ck_assert(cpu_list_has(&list, 64));
    ck_assert(!cpu_list_has(&list, 4) && !cpu_list_has(&list, -1));
    ck_assert(!cpu_list_has(&list, CPU_LIST_MAX));
    cpu_list_add(&list, -1);
    cpu_list_add(&list, CPU_LIST_MAX);
    ck_assert_int_eq(cpu_list_count(&list), 5);
    ck_assert(cpu_list_parse("10,20,30", &list));
    ck_assert(!cpu_list_format(&list, text, 6));
    ck_assert_str_eq(text, "10,20");
}
END_TEST

START_TEST(quota_and_memory_texts)
{
    ck_assert_double_eq(machine_parse_cpu_max(""), 0);
    ck_assert_double_eq(machine_parse_cpu_max("max 100000\n"), 0);
    ck_assert_double_eq(machine_parse_cpu_max("-1 100000\n"), 0);
    ck_assert_double_eq(machine_parse_cpu_max("200000"), 0);
    ck_assert_double_eq(machine_parse_cpu_max("200000 0"), 0);
    ck_assert_double_eq(machine_parse_cpu_max("250000 100000\n"), 2.5);
    ck_assert_int_eq(machine_parse_memory(""), 0);
    ck_assert_int_eq(machine_parse_memory("max\n"), 0);
    ck_assert_int_eq(machine_parse_memory("-5"), 0);
    ck_assert_int_eq(machine_parse_memory("9223372036854771712\n"), 0);
    ck_assert_int_eq(machine_parse_memory("99999999999999999999999\n"), 0);
    ck_assert_int_eq(machine_parse_memory("2147483648\n"), 2147483648LL);
}
END_TEST

START_TEST(tightest_group_of_version_2_counts)
{
    make_folder();
    put_file("cpu.max", "max 100000\n");
    put_file("system.slice/job_7/cpu.max", "400000 100000\n");
    put_file("system.slice/job_7/memory.max", "8589934592\n");
    put_file("system.slice/job_7/step_0/cpu.max", "max 100000\n");
    put_file("system.slice/job_7/step_0/memory.max", "max\n");
    put_file("other/cpu.max", "100000 100000\n");
    struct machine_limits limits =
        machine_read_limits(folder, "0::/system.slice/job_7/step_0\n");
    ck_assert_double_eq(limits.cpus, 4);
    ck_assert_int_eq(limits.memory, 8589934592LL);
    remove_folder();
}
END_TEST

START_TEST(groups_of_version_1_are_read)
{
    make_folder();
    put_file("cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "150000\n");
    put_file("cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    put_file("memory/memory.limit_in_bytes", "9223372036854771712\n");
    put_file("memory/docker/abc/memory.limit_in_bytes", "1073741824\n");
    put_file("cpuset/docker/abc/memory.limit_in_bytes", "1\n");
    struct machine_limits limits = machine_read_limits(
        folder,
        "5:cpuset:/docker/abc\n4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n");
    ck_assert_double_eq(limits.cpus, 1.5);
    ck_assert_int_eq(limits.memory, 1073741824);
    remove_folder();
}
END_TEST

START_TEST(odd_memberships_set_no_limit)
{
    static const char *const odd[] = {
        "",  "\n\n", "0", "0:", "0::", "0::relative\n", "x:cpu:\n", "3:cpu:/../../etc\n",
        NULL};
    for (int i = 0; odd[i]; i++) {
        struct machine_limits limits = machine_read_limits("/nonexistent", odd[i]);
        ck_assert_double_eq(limits.cpus, 0);
        ck_assert_int_eq(limits.memory, 0);
    }
}
END_TEST

/* In a container the path belongs to the host; the mount's root is what limits. */
START_TEST(root_counts_when_the_path_is_elsewhere)
{
    make_folder();
    put_file("cpu.max", "200000 100000\n");
    struct machine_limits limits = machine_read_limits(folder, "0::/kubepods/pod1/x\n");
    ck_assert_double_eq(limits.cpus, 2);
    remove_folder();
}
END_TEST

static void check_gpus(struct machine_gpu_sources sources, const char *gpus, bool rocm)
{
    char text[256];
    bool is_rocm = !rocm;
    sources.devices = folder;
    machine_find_gpus(&sources, text, sizeof text, &is_rocm);
    ck_assert_str_eq(text, gpus);
    ck_assert(is_rocm == rocm);
}

START_TEST(gpus_are_what_the_launcher_says)
{
    make_folder();
    put_file("nvidia0", "");
    check_gpus((struct machine_gpu_sources){.cuda = "2,3"}, "2,3", false);
    check_gpus((struct machine_gpu_sources){.cuda = "", .slurm = "0"}, "", false);
    check_gpus((struct machine_gpu_sources){.cuda = "NoDevFiles"}, "", false);
    check_gpus((struct machine_gpu_sources){.cuda = "1,-1,2"}, "1", false);
    check_gpus((struct machine_gpu_sources){.cuda = " 1 , 1, 0"}, "1,0", false);
    check_gpus((struct machine_gpu_sources){.cuda = "GPU-8932f937,MIG-GPU-1/1/0"},
               "GPU-8932f937,MIG-GPU-1/1/0", false);
    check_gpus((struct machine_gpu_sources){.rocr = "1", .slurm = "0"}, "1", false);
    check_gpus((struct machine_gpu_sources){.slurm = "0-2,5"}, "0,1,2,5", false);
    check_gpus((struct machine_gpu_sources){.slurm = "5-2"}, "", false);
    remove_folder();
}
END_TEST

START_TEST(gpus_are_counted_without_a_launcher)
{
    make_folder();
    check_gpus((struct machine_gpu_sources){0}, "", false);
    put_file("nvidia1", "");
    put_file("nvidia10", "");
    put_file("nvidia0", "");
    put_file("nvidiactl", "");
    put_file("nvidia-uvm", "");
    check_gpus((struct machine_gpu_sources){0}, "0,1,10", false);
    remove_folder();
    make_folder();
    put_file("dri/renderD128", "");
    check_gpus((struct machine_gpu_sources){0}, "", false);
    put_file("dri/renderD129", "");
    put_file("kfd", "");
    check_gpus((struct machine_gpu_sources){0}, "0,1", true);
    check_gpus((struct machine_gpu_sources){.cuda = "0", .rocr = "1"}, "1", true);
    check_gpus((struct machine_gpu_sources){.hip = "1"}, "1", true);
    remove_folder();
}
END_TEST

START_TEST(a_long_gpu_list_is_cut_between_entries)
{
    char text[8];
    bool rocm;
    struct machine_gpu_sources sources = {.cuda = "10,11,12,13",
                                          .devices = "/nonexistent"};
    machine_find_gpus(&sources, text, sizeof text, &rocm);
    ck_assert_str_eq(text, "10,11");
}
END_TEST

START_TEST(this_machine_is_described)
{
    struct machine m;
    struct error err = {0};
    struct cpu_list cpus;
    ck_assert_msg(machine_detect(&m, &err) == 0, "%s", err.text);
    ck_assert(m.host[0]);
    ck_assert(cpu_list_parse(m.cpus, &cpus));
    ck_assert_int_eq(cpu_list_count(&cpus), m.cpu_count);
    ck_assert_int_ge(m.cpu_count, 1);
    ck_assert(m.cpu_limit >= 1 && m.cpu_limit <= m.cpu_count);
    ck_assert_int_gt(m.memory, 1 << 20);
    ck_assert_ptr_nonnull(strchr(m.numa, ':'));
}
END_TEST

UNIT_MAIN("machine", odd_cpu_lists_are_refused, cpu_lists_read_and_write,
          cpu_lists_are_counted_and_bounded, quota_and_memory_texts,
          tightest_group_of_version_2_counts, groups_of_version_1_are_read,
          odd_memberships_set_no_limit, root_counts_when_the_path_is_elsewhere,
          gpus_are_what_the_launcher_says, gpus_are_counted_without_a_launcher,
          a_long_gpu_list_is_cut_between_entries, this_machine_is_described)
