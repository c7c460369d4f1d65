"""Files on any storage: local disks, object stores, HDFS."""

from oi_tfrecord.storage.files import create as create
from oi_tfrecord.storage.files import delete as delete
from oi_tfrecord.storage.files import delete_all as delete_all
from oi_tfrecord.storage.files import delete_folder as delete_folder
from oi_tfrecord.storage.files import exists as exists
from oi_tfrecord.storage.files import given_options as given_options
from oi_tfrecord.storage.files import make_folder as make_folder
from oi_tfrecord.storage.files import match as match
from oi_tfrecord.storage.files import match_first as match_first
from oi_tfrecord.storage.files import open_read as open_read
from oi_tfrecord.storage.files import read as read
from oi_tfrecord.storage.files import read_all as read_all
from oi_tfrecord.storage.files import read_range as read_range
from oi_tfrecord.storage.files import rename as rename
from oi_tfrecord.storage.files import replaces_at_once as replaces_at_once
from oi_tfrecord.storage.files import size as size
from oi_tfrecord.storage.files import store_of as store_of
from oi_tfrecord.storage.files import use_options as use_options
from oi_tfrecord.storage.files import use_store as use_store
from oi_tfrecord.storage.files import working_folder as working_folder
from oi_tfrecord.storage.files import write as write
from oi_tfrecord.storage.paths import FileInfo as FileInfo
from oi_tfrecord.storage.paths import escape as escape
from oi_tfrecord.storage.paths import identify as identify
from oi_tfrecord.storage.paths import is_local as is_local
from oi_tfrecord.storage.paths import join as join
