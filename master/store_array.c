/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of the state bag as datasets, and how any dataset lies in the file: in chunks of
 * about a megabyte with fletcher32 checksums. Scalars and empty arrays have no chunks. */
#include "master/store_hdf5.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/store_plist.h"

enum { CHUNK_BYTES = 1 << 20, DEFLATE_RATIO = 1100 };

hid_t store_plist_text(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 &&
        (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

hid_t store_plist_word(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 &&
        (H5Tset_size(type, size) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

hid_t store_plist_dataset(int rank, const hsize_t *chunk, bool compress)
{
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    if (plist < 0)
        return -1;
    int bad = H5Pset_obj_track_times(plist, 0) < 0;
    if (rank > 0) {
        bad |= H5Pset_chunk(plist, rank, chunk) < 0;
        if (compress)
            bad |= H5Pset_shuffle(plist) < 0 || H5Pset_deflate(plist, 1) < 0;
        bad |= H5Pset_fletcher32(plist) < 0;
    }
    if (bad) {
        H5Pclose(plist);
        return -1;
    }
    return plist;
}

static hid_t file_type(enum state_type type)
{
    const hid_t types[] = {H5T_IEEE_F32LE, H5T_IEEE_F64LE, H5T_STD_I64LE, H5T_STD_U16LE,
                           H5T_STD_U8LE};
    return types[type];
}

static hid_t memory_type(enum state_type type)
{
    const hid_t types[] = {H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE, H5T_NATIVE_INT64,
                           H5T_NATIVE_UINT16, H5T_NATIVE_UINT8};
    return types[type];
}

/* Chunks of whole rows of the trailing dimensions, up to CHUNK_BYTES. */
static hid_t array_plist(const struct state_array *a)
{
    hsize_t chunk[STATE_MAX_RANK], bytes = state_type_size(a->type);
    if (a->rank == 0 || state_array_count(a) == 0)
        return store_plist_dataset(0, NULL, false);
    for (int i = a->rank - 1; i >= 0; i--) {
        hsize_t room = bytes < CHUNK_BYTES ? CHUNK_BYTES / bytes : 1;
        chunk[i] = a->dims[i] < room ? a->dims[i] : room;
        bytes *= chunk[i];
    }
    bool floats = a->type == STATE_F32 || a->type == STATE_F64;
    return store_plist_dataset(a->rank, chunk, !floats);
}

static hid_t array_space(const struct state_array *a)
{
    hsize_t dims[STATE_MAX_RANK];
    for (int i = 0; i < a->rank; i++)
        dims[i] = a->dims[i];
    return a->rank ? H5Screate_simple(a->rank, dims, NULL) : H5Screate(H5S_SCALAR);
}

int store_hdf5_put_array(hid_t file, const struct state_array *a, struct error *err)
{
    hid_t space = array_space(a), plist = array_plist(a), set = -1;
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    if (space >= 0 && plist >= 0 && links >= 0 &&
        H5Pset_create_intermediate_group(links, 1) >= 0)
        set = H5Dcreate2(file, a->name, file_type(a->type), space, links, plist,
                         H5P_DEFAULT);
    int status = 0;
    if (set < 0 ||
        (state_array_count(a) > 0 &&
         H5Dwrite(set, memory_type(a->type), H5S_ALL, H5S_ALL, H5P_DEFAULT, a->data) < 0))
        status = store_hdf5_error(err, ERROR_SYSTEM, "cannot write '/%s'", a->name);
    if (set >= 0)
        H5Dclose(set);
    if (links >= 0)
        H5Pclose(links);
    if (plist >= 0)
        H5Pclose(plist);
    if (space >= 0)
        H5Sclose(space);
    return status;
}

static bool find_type(hid_t type, enum state_type *ret)
{
    for (int i = 0; i <= STATE_U8; i++)
        if (H5Tequal(type, file_type((enum state_type)i)) > 0) {
            *ret = (enum state_type)i;
            return true;
        }
    return false;
}

/* Type and dims of a dataset into a; the product of the dims is known to be small enough
 * when it returns 0. */
static int array_shape(hid_t set, struct state_array *a, struct error *err)
{
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    hsize_t dims[H5S_MAX_RANK], bytes;
    hsize_t limit = H5Dget_storage_size(set) * DEFLATE_RATIO;
    bool good = type >= 0 && space >= 0 && find_type(type, &a->type) &&
                H5Sget_simple_extent_type(space) != H5S_NULL;
    a->rank = good ? H5Sget_simple_extent_ndims(space) : -1;
    good = a->rank >= 0 && a->rank <= STATE_MAX_RANK &&
           H5Sget_simple_extent_dims(space, dims, NULL) >= 0;
    bytes = good ? state_type_size(a->type) : 0;
    for (int i = 0; good && i < a->rank; i++) {
        good = dims[i] == 0 || bytes <= limit / dims[i];
        bytes *= dims[i];
        a->dims[i] = (size_t)dims[i];
    }
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (!good)
        return error_set(err, ERROR_CORRUPT,
                         "'/%s' has a type or size that is none of "
                         "an array of a search",
                         a->name);
    return 0;
}

int store_hdf5_get_array(hid_t file, const char *name, struct state *state,
                         struct error *err)
{
    struct state_array a = {0};
    int length = snprintf(a.name, sizeof a.name, "%s", name);
    hid_t set = length < (int)sizeof a.name ? H5Dopen2(file, name, H5P_DEFAULT) : -1;
    if (set < 0)
        return store_hdf5_error(err, ERROR_CORRUPT, "'/%.200s' is missing", name);
    int status = array_shape(set, &a, err);
    size_t size = status == 0 ? state_array_count(&a) * state_type_size(a.type) : 0;
    a.data = status == 0 ? malloc(size ? size : 1) : NULL;
    if (status == 0 && !a.data)
        status = error_set(err, ERROR_SYSTEM, "'/%s': out of memory", name);
    if (status == 0 && size > 0 &&
        H5Dread(set, memory_type(a.type), H5S_ALL, H5S_ALL, H5P_DEFAULT, a.data) < 0)
        status = store_hdf5_error(err, ERROR_CORRUPT, "cannot read '/%s'", name);
    if (status == 0)
        status = state_put(state, name, a.type, a.rank, a.dims, a.data, err);
    free(a.data);
    H5Dclose(set);
    return status;
}
