from .config import PublishConfig as PublishConfig
from .config import ShareConfig as ShareConfig
from .push import check_destination as check_destination
from .push import publish as publish
from .push import push_all as push_all
from .push import push_folder as push_folder
from .push import send as send
